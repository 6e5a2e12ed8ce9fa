package capacity

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/structured"
)

// devices allocates what drivers offer, by the allocator of the scheduler itself.
type devices struct {
	known *Devices
	held  map[structured.DeviceID]int // how often: a claim may be shared
	cache *cel.Cache
	ready structured.Allocator // for held as it is; nil after it changed
}

// The allocator's features that are on by default in the Kubernetes versions that serve resource.k8s.io/v1.
var features = structured.Features{AdminAccess: true, PrioritizedList: true, PartitionableDevices: true, DeviceTaints: true}

// expressionsKept bounds the compiled selectors: a registry has few different ones.
const expressionsKept = 100

// newDevices has all of them free.
func newDevices(known *Devices) devices {
	return devices{known: known, held: map[structured.DeviceID]int{}, cache: cel.NewCache(expressionsKept, cel.Features{})}
}

func (d *devices) clone() *devices {
	return &devices{known: d.known, held: maps.Clone(d.held), cache: d.cache}
}

func (d *devices) hold(claims []string) { d.change(claims, 1) }

func (d *devices) release(claims []string) { d.change(claims, -1) }

func (d *devices) change(claims []string, by int) {
	for _, claim := range claims {
		for _, id := range d.known.Held[claim] {
			d.held[id] += by
			d.ready = nil
		}
	}
}

// place allocates what claims ask for on a node, if it is there.
func (d *devices) place(ctx context.Context, claims []*resourcev1.ResourceClaim, node *corev1.Node) (bool, error) {
	if len(claims) == 0 {
		return true, nil
	}
	if len(d.known.Slices) == 0 {
		return false, nil
	}
	if d.ready == nil {
		held := sets.New[structured.DeviceID]()
		for id, n := range d.held {
			if n > 0 {
				held.Insert(id)
			}
		}
		var err error
		state := structured.AllocatedState{AllocatedDevices: held, AggregatedCapacity: structured.NewConsumedCapacityCollection()}
		if d.ready, err = structured.NewAllocator(ctx, features, state, d, d.known.Slices, d.cache); err != nil {
			return false, err
		}
	}
	results, err := d.ready.Allocate(ctx, node, claims)
	if errors.Is(err, structured.ErrFailedAllocationOnNode) {
		return false, nil
	}
	if err != nil || len(results) < len(claims) {
		return false, err
	}
	for _, result := range results {
		for _, r := range result.Devices.Results {
			if r.AdminAccess == nil || !*r.AdminAccess {
				d.held[device(r)]++
				d.ready = nil
			}
		}
	}
	return true, nil
}

// exhaust is how often a claim can be placed on a node until there is nothing left.
func (d *devices) exhaust(ctx context.Context, claim *resourcev1.ResourceClaim, node *corev1.Node) (n int64, err error) {
	for {
		ok, err := d.place(ctx, []*resourcev1.ResourceClaim{claim}, node)
		if !ok || err != nil {
			return n, err
		}
		n++
	}
}

// List and Get are the allocator's view of the classes.
func (d *devices) List() ([]*resourcev1.DeviceClass, error) { return d.known.Classes, nil }

func (d *devices) Get(name string) (*resourcev1.DeviceClass, error) {
	for _, c := range d.known.Classes {
		if c.Name == name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("there is no DeviceClass %q", name)
}
