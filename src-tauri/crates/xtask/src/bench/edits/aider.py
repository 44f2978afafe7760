"""Applies edits with Aider's own coders: reads lines {"id","format","files","edit"}, writes lines {"id","files"} or {"id","refused"}.

The coder is made the way its scripting page says, with no repository and no commit, and is given a model's whole
answer. Files are those of a folder of their own, so that nothing else can be changed.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["ANALYTICS"] = "0"

from aider.coders import Coder  # noqa: E402
from aider.io import InputOutput  # noqa: E402
from aider.models import Model  # noqa: E402

FORMATS = {"search-replace": "diff", "unified-diff": "udiff"}


def apply(case, folder, model):
    os.chdir(folder)
    for path, text in case["files"].items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    quiet = open(os.devnull, "w")
    io = InputOutput(yes=True, pretty=False, fancy_input=False, output=quiet)
    io.tool_error = io.tool_warning = io.tool_output = lambda *_, **__: None
    names = [str(Path(folder, path)) for path in case["files"]]
    coder = Coder.create(
        main_model=model, edit_format=FORMATS[case["format"]], io=io, fnames=names, use_git=False, map_tokens=0
    )
    coder.root = folder  # without a repository it would be the folder that all files share
    fenced = f"```diff\n{case['edit']}```\n" if case["format"] == "unified-diff" else case["edit"]
    coder.partial_response_content = fenced
    coder.apply_updates()
    said = getattr(coder, "reflected_message", None)
    if said:
        return {"refused": {"reason": said.splitlines()[0]}}
    after = {}
    for file in Path(folder).rglob("*"):
        if file.is_file() and ".aider" not in file.name:
            path, text = file.relative_to(folder).as_posix(), file.read_bytes().decode(errors="replace")
            if case["files"].get(path) != text:
                after[path] = text
    return {"files": after}


def main():
    answers, sys.stdout = sys.stdout, sys.stderr
    model = Model("gpt-4o")
    for line in sys.stdin:
        case = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            try:
                answer = apply(case, folder, model)
            except Exception as error:  # what it throws is no answer of this script's
                answer = {"refused": {"reason": f"{type(error).__name__}: {error}"}}
        print(json.dumps({"id": case["id"], **answer}), file=answers, flush=True)


main()
