// Package deploy embeds the Kustomize trees of davit's installation, so that davit install applies what
// kubectl apply -k deploy/<overlay> does. It builds nothing: reconciler/install does.
package deploy

import "embed"

// Tree holds base, crds, the overlays single-tenant, multi-tenant and highly-available, and environment.
//
//go:embed base/*.yaml crds/*.yaml single-tenant/*.yaml multi-tenant/*.yaml highly-available/*.yaml environment
var Tree embed.FS
