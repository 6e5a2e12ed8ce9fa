module github.com/davit-dev/davit/deploy/devcluster/build/apis

go 1.26.0

require (
	github.com/kserve/kserve v0.16.0
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
