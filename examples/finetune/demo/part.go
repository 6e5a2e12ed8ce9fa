package main

import (
	"fmt"
	"strings"
)

// outline is what the story and the README show of a rendered run: the beginnings of some of its lines, in order.
const outline = `
apiVersion:
kind: JobSet
metadata:
  name:
spec:
  failurePolicy:
    maxRestarts:
    restartStrategy:
    rules:
    - action: FailJobSet
      name: fatalExitCode
    - action: RestartJobSetAndIgnoreMaxRestarts
      name: disruption
    - action: FailJobSet
      name: deadline
  network:
    enableDNSHostnames:
    subdomain:
  replicatedJobs:
  - name: node
    template:
      spec:
        activeDeadlineSeconds:
        completionMode:
        completions:
        template:
          spec:
            containers:
            - args:
              - publish-run
              image:
              name: publisher
              volumeMounts:
              - mountPath: /output
                name: output
            initContainers:
            - args:
              - --learning_rate=
              - --max_steps=
              - --save_steps=
              env:
              - name: DAVIT_DATASET_DIALOGUES
                value:
              - name: DAVIT_SEED
                value:
              - name: DAVIT_MODEL_PATH
                value:
              - name: DAVIT_CHECKPOINTS
                value:
              - name: MASTER_ADDR
                value:
              - name: NODE_RANK
                valueFrom:
                  fieldRef:
                    fieldPath:
              image:
              name: trainer
              resources:
                limits:
                  nvidia.com/gpu:
              volumeMounts:
              - mountPath: /mnt/model
                name: model
              - mountPath: /checkpoints
                name: checkpoints
                subPath:
              - mountPath: /output
                name: output
            nodeSelector:
              nvidia.com/gpu.product:
            volumes:
            - image:
                reference:
              name: model
            - name: checkpoints
              persistentVolumeClaim:
                claimName:
`

// part is what outline has of a rendered run, each line as it is there.
func part(rendered string) (string, error) {
	rest := strings.SplitAfter(rendered, "\n")
	var out strings.Builder
	for want := range strings.Lines(strings.TrimPrefix(outline, "\n")) {
		want = strings.TrimSuffix(want, "\n")
		for len(rest) > 0 && !strings.HasPrefix(rest[0], want) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return "", fmt.Errorf("the rendered run has no line %q where it is looked for:\n%s", want, rendered)
		}
		out.WriteString(rest[0])
		rest = rest[1:]
	}
	return out.String(), nil
}
