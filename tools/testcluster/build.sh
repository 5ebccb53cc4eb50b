#!/usr/bin/env bash
# Builds etcd, kube-apiserver, kube-scheduler, kube-controller-manager, kubectl and kwok, in the
# versions of go.mod, as one program with a link per name. Usage: build.sh OUTPUT_FOLDER
set -euo pipefail
out=${1:?usage: build.sh OUTPUT_FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")"

# Untold, the programs say v0.0.0-master, and API versions and feature gates go by what they say.
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
IFS=. read -r major minor _ <<<"${version#v}"
ldflags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    ldflags+=" -X $package.gitVersion=$version -X $package.gitTreeState=clean"
    ldflags+=" -X $package.gitMajor=$major -X $package.gitMinor=$minor"
done

# No debug information and a lazier collector: a quarter less work for the compiler.
GOGC=400 CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false \
    -ldflags "$ldflags" -o "$out/control-plane.new" .
mv "$out/control-plane.new" "$out/control-plane"
for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok; do
    ln -sf control-plane "$out/$program"
done

# kwok's own stages (what happens to its nodes and pods), without their random delays.
stages=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
{
    for stage in fast/node-initialize heartbeat-with-lease/node-heartbeat-with-lease chaos/node-not-ready; do
        sed '1i---' "$stages/node/$stage.yaml"
    done
    for stage in fast/pod-ready fast/pod-delete general/pod-complete chaos/pod-container-running-failed; do
        sed '1i---' "$stages/pod/$stage.yaml" |
            sed '/jitterDurationMilliseconds/d; s/\(durationMilliseconds:\).*/\1 0/'
    done
} >"$out/kwok-stages.yaml"
