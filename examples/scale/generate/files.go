package generate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// team writes a team with its model in two versions of one small file each.
func (w *writer) team(o Options, team string) {
	model := "model-" + team
	root := o.root(team)
	if o.Layout == Teams {
		w.file(root+"team.yaml", teamFile, "TEAM", team)
	}
	w.file(root+"models/"+model+"/model.yaml", modelFile, "TEAM", team)
	for _, version := range []string{First, Second} {
		content := fmt.Sprintf("the weights of %s %s\n", model, version)
		sum := sha256.Sum256([]byte(content))
		source := root + "models/" + model + "/files/" + version + ".dat"
		w.file(source, content)
		w.file(root+"models/"+model+"/versions/"+version+".yaml", versionFile,
			"SOURCE", source, "SHA256", hex.EncodeToString(sum[:]), "SIZE", fmt.Sprint(len(content)))
	}
}

const registryFile = `apiVersion: davit.dev/v1alpha1
kind: Registry
spec:
  images: IMAGES
`

// The bake is short: what is measured is davit's work, not a wait that it is told to make.
const environmentFile = `apiVersion: davit.dev/v1alpha1
kind: Environment
spec:
  namespace: ` + Namespace + `
  capabilities: {kubernetes: "1.37"}
  runtimes: {server: 1.0.0}
  bake: 1s
`

const teamFile = `apiVersion: davit.dev/v1alpha1
kind: Team
spec:
  owners: [TEAM@example.com]
`

const modelFile = `apiVersion: davit.dev/v1alpha1
kind: Model
spec:
  owners: [TEAM@example.com]
  task: tabular-classification
  license: Apache-2.0
`

const versionFile = `apiVersion: davit.dev/v1alpha1
kind: ModelVersion
spec:
  format: safetensors
  files:
    - path: model.dat
      source: SOURCE
      sha256: SHA256
      size: SIZE
`

const servingFile = `apiVersion: davit.dev/v1alpha1
kind: Serving
spec:
  model: MODEL
  runtime: server
  args: {model-name: NAME}
  resources: {cpu: 50m, memory: 64Mi}
`

const releaseFile = `# NAME in production
apiVersion: davit.dev/v1alpha1
kind: Release
spec:

  version: VERSION

`

// Refused is a Component that gives the release a field the API server refuses; it is put beside serving.yaml.
const Refused = `apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {group: apps, version: v1, kind: Deployment}
    patch: |-
      - {op: add, path: /spec/template/spec/restartPolicy, value: Sometimes}
`
