#!/usr/bin/python3
"""Makes sample scans, each with its ground truth beside it (NAME.pdf, NAME.json).

    generate.py                                   the committed samples, into this directory
    generate.py --out DIR --seed 7                the same documents with other words, widths and faults
    generate.py --out DIR --kind ruled --count 5  five fresh documents of one kind (see --help)
    generate.py --poison DIR                      files that must be refused

The same seed gives the same bytes (with the same Pillow and libraries).
"""

import argparse
import json
import os
import sys

from gen import poison, samples

DEFAULT_SEED = 1850


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--out", metavar="DIR", help="where to write (default: beside this script)")
    parser.add_argument("--only", metavar="NAME", action="append", help="of the samples, make only this one")
    parser.add_argument("--kind", choices=samples.KINDS, help="make fresh documents of this kind instead of the samples")
    parser.add_argument("--count", type=int, default=1, help="so many documents (with --kind)")
    parser.add_argument("--pages", type=int, default=1, help="of so many pages each (with --kind)")
    parser.add_argument("--coding", choices=samples.CODINGS, help="image coding (with --kind; default: by chance)")
    parser.add_argument("--poison", metavar="DIR", help="write broken and hostile files there, nothing else")
    return parser.parse_args()


def write(directory, name, source, specs, seed):
    data, truth = samples.Document(name, source, specs, seed).build()
    with open(os.path.join(directory, name + ".pdf"), "wb") as out:
        out.write(data)
    with open(os.path.join(directory, name + ".json"), "w", encoding="utf-8") as out:
        json.dump(truth, out, ensure_ascii=False, indent=1)
        out.write("\n")


def main():
    args = arguments()
    out = args.poison or args.out or os.path.dirname(os.path.abspath(__file__))
    os.makedirs(out, exist_ok=True)
    if args.poison:
        poison.write_all(out, args.seed)
    elif args.kind:
        for i in range(1, args.count + 1):
            name = f"{args.kind}-{args.seed}-{i:03d}"
            write(out, name, *samples.fresh(args.kind, args.pages, args.coding, f"{args.seed}:{i}"), args.seed)
    else:
        unknown = set(args.only or []) - set(samples.SAMPLES)
        if unknown:
            sys.exit(f"generate.py: no sample named {', '.join(sorted(unknown))}; there are {', '.join(samples.SAMPLES)}")
        for name in args.only or samples.SAMPLES:
            write(out, name, *samples.SAMPLES[name], args.seed)


if __name__ == "__main__":
    main()
