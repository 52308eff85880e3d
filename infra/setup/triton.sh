#!/usr/bin/env bash
# Installs tritonserver and its python backend from NVIDIA's wheel, and the Python environment of its models.
set -euo pipefail
uv=.local/bootstrap/bin/uv
home=.local/triton

rm -rf "$home"
"$uv" venv -q --python "$PYTHON" "$home/env"
"$uv" pip sync --python "$home/env/bin/python" --require-hashes requirements-triton.lock
"$uv" pip install --python "$home/env/bin/python" --target "$home/server" --no-deps --require-hashes \
    -r requirements-tritonserver.lock

# The backend starts the stub in its own folder; the wheel has one stub per Python version in another folder.
wheel=$home/server/pytriton/tritonserver
mkdir -p "$home/backends" "$home/lib"
cp -r "$wheel/backends/python" "$home/backends/"
cp "$wheel/python_backend_stubs/3.11/triton_python_backend_stub" "$home/backends/python/"

# The stub links to libpython. A folder that contains only libpython keeps other libraries off its path.
ln -s "$("$home/env/bin/python" -c 'import os, sysconfig as s
print(os.path.join(s.get_config_var("LIBDIR"), "libpython3.11.so.1.0"))')" "$home/lib/"
