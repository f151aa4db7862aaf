#!/bin/bash
# The `docker` command of an emulated VM. Its containers are siblings of the VM on the engine that runs the VM, in the
# VM's network namespace and under its label, so that they end with it. Images come from the engine, never a registry.
. /etc/emulator/about
real="env DOCKER_HOST=unix:///var/run/docker.sock /usr/local/libexec/docker"

case "$1" in
  pull)
    exec $real image inspect --format 'Status: Image is up to date for {{.Id}}' "${@: -1}" ;;
  login)
    echo "docker login is not emulated" >&2; exit 1 ;;
esac

args=("$1")
[ "$1" = run ] && args+=($LABELS $ENVIRONMENT $CA)
skip=
for arg in "${@:2}"; do
  if [ -n "$skip" ]; then skip=; continue; fi
  if [ "$1" = run ]; then
    case "$arg" in
      # what an engine inside a container may refuse, and no test needs
      --gpus|--ulimit) skip=1; continue ;;
      --gpus=*|--ulimit=*|--cap-add=*|--device=*|--security-opt=*) continue ;;
      --net=host) arg="--network=container:emulated-$VM" ;;
    esac
  fi
  case "$arg" in sky_container*) arg="$VM-$arg" ;; esac
  args+=("$arg")
done
exec $real "${args[@]}"
