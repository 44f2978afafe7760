"""Serves one model file with llama.cpp's own HTTP server, as the wheel `xllamacpp` carries it.

Prints `READY http://127.0.0.1:PORT` and serves until its standard input ends, so that it never outlives a test.
"""

import argparse
import sys

import xllamacpp

arguments = argparse.ArgumentParser()
arguments.add_argument("model")
arguments.add_argument("--context", type=int, default=8192)
arguments.add_argument("--endless", action="store_true", help="goes on when the context is full")
arguments.add_argument("--vectors", action="store_true", help="makes vectors of texts, and answers nothing")
wanted = arguments.parse_args()

set_up = xllamacpp.CommonParams()
set_up.model.path = wanted.model
set_up.model_alias = {"playbook"}
set_up.hostnames = ["127.0.0.1"]
set_up.port = 0
set_up.n_ctx = wanted.context
set_up.ctx_shift = wanted.endless
set_up.n_parallel = 1
set_up.use_jinja = True
set_up.warmup = False
set_up.offline = True
set_up.ui = False
set_up.n_gpu_layers = 0
set_up.cpuparams.n_threads = 1
set_up.cpuparams_batch.n_threads = 1
if wanted.vectors:
    set_up.embedding = True
    set_up.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN

server = xllamacpp.Server(set_up)
print(f"READY {server.listening_address}", flush=True)
sys.stdin.read()
