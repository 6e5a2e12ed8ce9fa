// Package crds embeds the CustomResourceDefinitions that davit installs. They are generated from
// reconciler/v1alpha1.
package crds

import _ "embed"

// ModelReleases is the CRD of ModelRelease, as YAML.
//
//go:embed davit.dev_modelreleases.yaml
var ModelReleases []byte

// ModelRegistries is the CRD of ModelRegistry, as YAML.
//
//go:embed davit.dev_modelregistries.yaml
var ModelRegistries []byte
