"""Serve the embedded model by llama-cpp-python, run a command beside it with CROWDPYRO_SERVER set, and stop again.

    python tests/serve_smollm2.py MODEL.gguf FOLDER COMMAND ...

Two models are served: `smollm2` as it is (4 bits, activations rounded to 8), and `smollm2-f32`, the same weights
written out in 32 bits to FOLDER, which differs from transformers by the order of sums and a cache in 16 bits alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def written_out(model: Path, folder: Path) -> Path:
    """The model's weights in 32 bits, as a file that is made once."""
    import llama_cpp

    target = folder / f"{model.stem}.f32.gguf"
    if not target.exists():
        how = llama_cpp.llama_model_quantize_default_params()
        how.ftype, how.allow_requantize = llama_cpp.LLAMA_FTYPE_ALL_F32, True
        part = target.with_suffix(".part")
        if llama_cpp.llama_model_quantize(os.fsencode(model), os.fsencode(part), ctypes.byref(how)):
            sys.exit(f"{model} could not be written out in 32 bits")
        part.replace(target)
    return target


def main(model: Path, folder: Path, command: list[str]) -> int:
    """Exit status of the command."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Log-probabilities are computed over the whole context for every request: a short one is fast.
    each = {"logits_all": True, "n_ctx": 512, "n_threads": 1, "verbose": False}
    files = {"smollm2": model, "smollm2-f32": written_out(model, folder)}
    config = folder / "server.json"
    models = [{"model": str(file), "model_alias": alias, **each} for alias, file in files.items()]
    config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "models": models}), encoding="utf-8")
    url = f"http://127.0.0.1:{port}/v1"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "llama_cpp.server", "--config_file", str(config)], stdout=log, stderr=log
        )
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"{url}/models", timeout=5):  # noqa: S310 - our own server
                        break
                except (urllib.error.URLError, OSError):
                    if server.poll() is not None:
                        sys.exit(f"the server ended; see {log.name}")
                    time.sleep(0.2)
            return subprocess.run(command, env=os.environ | {"CROWDPYRO_SERVER": url}, check=False).returncode
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
