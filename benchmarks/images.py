"""How large an image is, layer by layer: `python -m benchmarks.images [NAME ...]`; all of ours when none is named."""

import argparse
import contextlib

from launcher.engine import connect

MB = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    with contextlib.closing(connect()) as client:
        held = [tag for image in client.images.list() for tag in image.tags if tag.startswith("launcher-")]
        for name in names or sorted(held):
            layers = [one for one in client.images.get(name).history() if one["Size"]]
            print(f"\n{name}: {sum(one['Size'] for one in layers) / MB:,.0f} MB")
            print("| MB | layer |\n|---:|---|")
            for one in reversed(layers):
                print(f"| {one['Size'] / MB:,.1f} | {' '.join(one['CreatedBy'].split())[:90]} |")


if __name__ == "__main__":
    main()
