"""How large images are, layer by layer, by the engine's own history; all of ours when none is named.

python -m benchmarks.bench_images [NAME ...]
"""

import contextlib

from benchmarks.support.result import Result, load, parser, report
from launcher.images.docker_engine import connect

MB = 1_000_000
NOTE = """A changed recipe builds and pushes its last layer alone; the base is built once."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME")
    args, before = options.parse_args(), load()
    rows = []
    with contextlib.closing(connect()) as client:
        held = [tag for image in client.images.list() for tag in image.tags if tag.startswith("launcher-")]
        for name in args.names or sorted(held):
            layers = [layer for layer in client.images.get(name).history() if layer["Size"]]
            rows.append([f"**{name}**", f"{sum(layer['Size'] for layer in layers) / MB:,.0f}"])
            for layer in reversed(layers):
                text = " ".join(layer["CreatedBy"].split())[:90].replace("|", "\\|") or "imported"
                rows.append([text, f"{layer['Size'] / MB:,.1f}"])
    report(Result("images", "Images", ["", "MB"], rows, notes=[NOTE]), before, args.result)


if __name__ == "__main__":
    main()
