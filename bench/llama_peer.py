"""llama.cpp, which completes one prompt after another, for bench/decoding_peers.py:

    python bench/llama_peer.py MODEL.gguf [ADAPTER.gguf]

A process that imports nothing of this project, whose stages have OpenMP wait otherwise, and no torch, which brings
threads of its own. It writes an empty line once both files are read; then for each line of JSON, {"prompt",
"n_predict"}, one with the text. What prompts begin with alike it reads once, which a model with windows of attention
allows only where the keys of all tokens are kept (`swa_full`).
"""

import json
import os
import sys
from typing import TextIO

THREADS = 2
CONTEXT = 2048
GREEDY = {"temperature": 0.0, "stop": ["\n"]}


def main(model: str, adapters: list[str], answers: TextIO) -> None:
    """Answer until there are no more lines."""
    from xllamacpp import CommonAdapterLoraInfo, CommonParams, Server

    asked = CommonParams()
    asked.model.path, asked.n_ctx, asked.n_parallel, asked.swa_full = model, CONTEXT, 1, True
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = THREADS
    asked.lora_adapters = [CommonAdapterLoraInfo(adapter, 1.0) for adapter in adapters]
    server = Server(asked)
    print(file=answers, flush=True)
    for line in sys.stdin:
        text = server.handle_completions(json.loads(line) | GREEDY)["choices"][0]["text"]
        print(json.dumps(text), file=answers, flush=True)


if __name__ == "__main__":
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # where llama.cpp writes what it does
    main(sys.argv[1], sys.argv[2:], own)
