#!/usr/bin/env bash
# tritonserver and its python backend from NVIDIA's wheel, and the environment that its models run in.
set -euo pipefail
uv=.local/bootstrap/bin/uv
home=.local/triton

rm -rf "$home"
"$uv" venv -q --python "$PYTHON" "$home/env"
"$uv" pip sync --python "$home/env/bin/python" --require-hashes requirements-triton.lock
"$uv" pip install --python "$home/env/bin/python" --target "$home/server" --no-deps --require-hashes \
    -r requirements-tritonserver.lock

# The backend starts the stub that stands beside it; the wheel keeps one for each Python elsewhere.
wheel=$home/server/pytriton/tritonserver
mkdir -p "$home/backends" "$home/lib"
cp -r "$wheel/backends/python" "$home/backends/"
cp "$wheel/python_backend_stubs/3.11/triton_python_backend_stub" "$home/backends/python/"

# The stub links to libpython; a folder with nothing else keeps other libraries off its path.
ln -s "$("$home/env/bin/python" -c 'import os, sysconfig as s
print(os.path.join(s.get_config_var("LIBDIR"), "libpython3.11.so.1.0"))')" "$home/lib/"
