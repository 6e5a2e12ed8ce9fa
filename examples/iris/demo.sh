#!/usr/bin/env bash
# The main story on a real API server with simulated nodes: pods become ready there, and nothing runs in them.
# So the prediction and the damaged version, which need a running container, are left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
cluster=
trap '[ -z "$cluster" ] || { kill "$cluster" 2>/dev/null || true; wait "$cluster" 2>/dev/null || true; }; rm -rf "$work"' EXIT

began=0
step() { echo; echo "## $*"; began=$(date +%s%N); }
run() { echo "\$ $*"; "$@"; }
took() { echo "-- $((($(date +%s%N) - began) / 1000000)) ms"; }

step "build davit and the cluster's starter"
run go build -o "$work/davit" ./cmd/davit
go build -o "$work/devcluster" ./deploy/devcluster/cmd/devcluster
took
step "a real Kubernetes with 2 simulated nodes, and a real OCI registry (the first build takes minutes)"
"$work/devcluster" up --nodes 2 --gpus 8 --registry >"$work/up" &
cluster=$!
until grep -q '^export REGISTRY' "$work/up"; do kill -0 "$cluster" || exit 1; sleep 0.2; done
eval "$(grep ^export "$work/up")"
took

step "a registry of models in Git"
cp -r examples/iris/registry "$work/models"
cd "$work/models"
sed -i "s/127.0.0.1:5000/$REGISTRY/" davit.yaml
sed -i '/smokeTest/d' releases/iris/serving.yaml
git init -q -b main
git config user.name Ada && git config user.email ada@example.com
git add . && git commit -qm 'iris at v1'
davit() { echo "\$ davit $*"; "$work/davit" "$@"; }
expect() { # release version: what the cluster must say now
	got=$("$work/davit" status "$1" -o json | sed -n '/"applied"/,/}/s/.*"version": "\(.*\)".*/\1/p')
	[ "$got" = "$2" ] || { echo "$1 is at $got, not at $2" >&2; exit 1; }
}
image() { "$work/davit" status production/iris -o json | sed -n '/"applied"/,/}/s/.*"image": "\(.*\)".*/\1/p'; }
davit install
davit validate
took
step "v1 in staging and production"
davit sync --once
expect production/iris v1
first=$(image)
took
step "a merge promotes v2 to production"
run git checkout -qb promote
sed -i 's/version: v1/version: v2/' releases/iris/production.yaml
davit plan --base main || [ $? = 3 ]
run git commit -qam 'promote iris v2 to production'
run git checkout -q main
run git merge -q --no-ff -m 'merge: iris v2 to production' promote
davit sync --once
expect production/iris v2
took
step "git revert brings v1 back: the old digest, nothing built"
run git revert --no-edit -m 1 HEAD
davit sync --once
expect production/iris v1
[ "$(image)" = "$first" ] || { echo "another digest: $(image)" >&2; exit 1; }
took
step "what runs, and what was"
davit status
davit history production/iris
