package generate

const image = "registry.example.com/server@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// runtimeFiles are the runtime's base: four objects, the Deployment as the iris example has it.
var runtimeFiles = map[string]string{
	"runtime.yaml": `apiVersion: davit.dev/v1alpha1
kind: Runtime
spec:
  workload: {apiVersion: apps/v1, kind: Deployment, name: runtime}
  service: runtime
  container: server
  port: 8080
  image: ` + image + `
`,
	"kustomization.yaml": `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - serviceaccount.yaml
  - configmap.yaml
  - deployment.yaml
  - service.yaml
`,
	"serviceaccount.yaml": `apiVersion: v1
kind: ServiceAccount
metadata:
  name: server
automountServiceAccountToken: false
`,
	"configmap.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  log-level: info
  batch-size: "8"
  timeout: 30s
`,
	"service.yaml": `apiVersion: v1
kind: Service
metadata:
  name: runtime
spec:
  clusterIP: None
  selector:
    app.kubernetes.io/name: runtime
  ports:
    - {name: http, port: 80, targetPort: http}
`,
	"deployment.yaml": deploymentFile,
}

const deploymentFile = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: runtime
spec:
  replicas: REPLICAS
  selector:
    matchLabels:
      app.kubernetes.io/name: runtime
  template:
    metadata:
      labels:
        app.kubernetes.io/name: runtime
    spec:
      serviceAccountName: server
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 10
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: server
          image: ` + image + `
          envFrom:
            - configMapRef: {name: settings}
          ports:
            - {name: http, containerPort: 8080}
          readinessProbe:
            httpGet: {path: /v2/health/ready, port: http}
            periodSeconds: 2
          livenessProbe:
            httpGet: {path: /v2/health/live, port: http}
            periodSeconds: 10
          resources:
            requests: {cpu: 10m, memory: 16Mi}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
`
