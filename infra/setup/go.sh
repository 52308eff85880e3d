# Go's downloads, results and commands below .local; `-modcacherw`, or `make clean` could not remove them.
export GOMODCACHE=$ROOT/.local/cache/go/mod GOCACHE=$ROOT/.local/cache/go/build GOBIN=$ROOT/.local/clients/bin
export GOFLAGS="-modcacherw ${GOFLAGS:-}"
