# Sourced by other steps. install_missing PACKAGE...: install Debian packages, as root or with sudo.
install_missing() {
    [[ $# -eq 0 ]] && return
    local as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    echo "missing: $*"
    if ! { "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; }; then
        echo "could not install them; run as root: apt-get update && apt-get install $*" >&2
        return 1
    fi
}
