package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/davit-dev/davit/registry"
)

// layerLimits are how many bytes a layer may have in hosted OCI registries, by their host's end. Longer ones would be
// refused after hours of uploading.
var layerLimits = []struct {
	host  string
	bytes int64
	where string
}{
	{"ghcr.io", 10e9, "https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry"},
	{"public.ecr.aws", 10_000 << 20, "https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html"},
	{".amazonaws.com", 52_000 << 20, "https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html"},
	{".azurecr.io", 200 << 30, "https://learn.microsoft.com/azure/container-registry/container-registry-skus"},
}

// fits finds the layers that are longer than an OCI registry takes, before anything is read.
func fits(repo name.Repository, v *registry.ModelVersion, layers []*layer) error {
	var faults []error
	for _, limit := range layerLimits {
		if !strings.HasSuffix(repo.RegistryStr(), limit.host) {
			continue
		}
		for _, l := range layers {
			if l.size > limit.bytes && l.digest == nil {
				faults = append(faults, &ContentError{Path: v.Path, File: l.file.Path, Err: fmt.Errorf(
					"would be a layer of %d bytes, and %s takes %d (%s); split the weights (save_pretrained(max_shard_size=…), llama-gguf-split) or use another OCI registry",
					l.size, repo.RegistryStr(), limit.bytes, limit.where)})
			}
		}
		break
	}
	return errors.Join(faults...)
}
