# Keeps Go's downloads, builds and commands below .local. `-modcacherw` makes them removable by `make clean`.
local_dir=$(realpath "$ROOT/.local") # Go reuses builds only under the same path
export GOMODCACHE=$local_dir/cache/go/mod GOCACHE=$local_dir/cache/go/build GOBIN=$local_dir/clients/bin
export GOFLAGS="-modcacherw ${GOFLAGS:-}"
