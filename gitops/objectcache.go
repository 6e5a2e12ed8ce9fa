package gitops

import (
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
)

const (
	// Delta bases; davit's own cache of folders sits above it.
	objectCacheSize = 16 * cache.MiByte
	// A file is read once, and its neighbours in the pack may be deltas of it.
	fileCacheSize = 1 * cache.MiByte
)

// objectCache is go-git's, files apart from all else: ten thousands of small ones would stay for good, and each takes
// more for its place in the cache than it is long.
type objectCache struct{ files, others cache.Object }

func newObjectCache() *objectCache {
	return &objectCache{cache.NewObjectLRU(fileCacheSize), cache.NewObjectLRU(objectCacheSize)}
}

// Put implements cache.Object.
func (c *objectCache) Put(o plumbing.EncodedObject) {
	if o.Type() == plumbing.BlobObject {
		c.files.Put(o)
	} else {
		c.others.Put(o)
	}
}

// Get implements cache.Object.
func (c *objectCache) Get(h plumbing.Hash) (plumbing.EncodedObject, bool) {
	if o, ok := c.others.Get(h); ok {
		return o, true
	}
	return c.files.Get(h)
}

// Clear implements cache.Object.
func (c *objectCache) Clear() {
	c.files.Clear()
	c.others.Clear()
}
