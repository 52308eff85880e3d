# Go's downloads, results and commands below .local; `-modcacherw`, or `make clean` could not remove them.
place=$(realpath "$ROOT/.local") # what Go has built is of use under the same path only
export GOMODCACHE=$place/cache/go/mod GOCACHE=$place/cache/go/build GOBIN=$place/clients/bin
export GOFLAGS="-modcacherw ${GOFLAGS:-}"
