"""`lvmtui data`: making vector sets out of text, and looking at them."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.audit.words import finding_lines
from engine.data.chunking import clean
from engine.data.locate import resolve_data
from engine.data.progress import Progress, terminal_progress
from engine.data.vectors import VectorSet
from lvmtui.errors import LvmtuiError
from lvmtui.findings import Finding, worst_first


def main(argv: list[str]) -> int:
    """Run one `data` subcommand.

    Args:
        argv: what stands after `lvmtui data`.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    action: Callable[[argparse.Namespace], None] = arguments.action
    return guarded(lambda: action(arguments))


def guarded(action: Callable[[], None]) -> int:
    """Run an action; a user's mistake is told on standard error with what to do, without a traceback.

    Returns:
        Exit code.
    """
    try:
        action()
        sys.stdout.flush()
    except LvmtuiError as error:
        sys.stderr.write(f"error: {clean(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {clean(error.hint)}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was written\n")
        return 130
    except BrokenPipeError:
        # The reader has what it wanted; without this, Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvmtui data", description="Make vector sets out of text, and look at them."
    )
    subcommands = parser.add_subparsers(required=True, metavar="build|merge|info|demo")
    build = subcommands.add_parser(
        "build",
        help="text files -> chunks of about 20 words -> vectors",
        description="Cut text files into chunks of about 20 words that end with sentences, encode them, and "
        "write a vector set. Each file is one document; folders give each file inside. At least 3 documents.",
    )
    build.add_argument(
        "paths", nargs="+", type=Path, metavar="TEXTFILE", help="UTF-8 text, or a folder of it"
    )
    build.add_argument("--out", "-o", required=True, type=Path, metavar="DIR", help="folder to make")
    build.add_argument(
        "--encoder",
        default="tfidf-svd",
        metavar="NAME",
        help="tfidf-svd (default: 768 dimensions, nothing to download) or sentence-transformers:MODEL",
    )
    build.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="default: float16")
    build.add_argument("--force", action="store_true", help="replace the vector set that is at DIR")
    build.add_argument("--json", action="store_true", help="print the result as JSON")
    build.set_defaults(action=_build)
    merge = subcommands.add_parser(
        "merge",
        help="several vector sets as one",
        description="Put the vectors of several sets of the same encoder behind one another as a new set. "
        "Documents are numbered anew; lanes, texts and titles are kept where all sets have them.",
    )
    merge.add_argument("paths", nargs="+", type=Path, metavar="DIR", help="folders of vector sets, in order")
    merge.add_argument("--out", "-o", required=True, type=Path, metavar="DIR", help="folder to make")
    merge.add_argument("--json", action="store_true", help="print the result as JSON")
    merge.set_defaults(action=_merge)
    info = subcommands.add_parser(
        "info",
        help="size, documents, norms, order, duplicates, splits",
        description="Say what a vector set is like.",
    )
    info.add_argument("path", metavar="DIR", help="folder of a vector set, or `demo`")
    info.add_argument("--split-seed", type=int, default=0, metavar="N", help="seed of the split (default: 0)")
    info.add_argument("--json", action="store_true", help="print the figures as JSON")
    info.set_defaults(action=_info)
    demo = subcommands.add_parser(
        "demo",
        help="make the built-in demo set, where it is not there yet",
        description="Make the built-in set out of the prose of this Python's standard library, "
        "unless it is there already.",
    )
    demo.set_defaults(action=_demo)
    return parser


def _demo(_arguments: argparse.Namespace) -> None:
    with terminal_progress() as progress:
        resolve_data("demo", progress)


def _build(arguments: argparse.Namespace) -> None:
    from engine.data.build import build_set, check_target, chunk_documents
    from engine.data.encode import make_encoder
    from engine.data.sources import read_texts

    with terminal_progress() as progress:
        check_target(arguments.out, arguments.force)
        encoder = make_encoder(arguments.encoder)
        sources = read_texts(arguments.paths, progress)
        built = build_set(
            chunk_documents(sources.documents),
            arguments.out,
            encoder=encoder,
            dtype=arguments.dtype,
            force=arguments.force,
            sources={"source": [str(path) for path in arguments.paths], "skipped": sources.skipped},
            progress=progress,
        )
        data = built.data
        wrong = [finding for finding in _audited(data, progress) if not finding.passed]
    documents = len(set(data.documents.tolist()))
    result = {
        "path": str(data.path),
        "vectors": len(data),
        "dim": data.dim,
        "dtype": str(data.vectors.dtype),
        "documents": documents,
        "encoder": arguments.encoder,
        "fingerprint": data.fingerprint,
        "dropped": built.dropped,
        "skipped": sources.skipped,
        "notices": built.notices,
        "findings": [finding.record() for finding in wrong],
    }
    if arguments.json:
        write_json(result)
        return
    lines = [_summary(data)]
    if built.dropped:
        lines.append(f"left out: {_counts(built.dropped)}")
    if sources.skipped:
        lines.append(f"files skipped: {_counts(sources.skipped)}")
    lines += built.notices
    write_lines([*lines, *finding_lines(wrong)])


def _merge(arguments: argparse.Namespace) -> None:
    from engine.data.merge import merge_sets

    with terminal_progress() as progress:
        merged = merge_sets(arguments.paths, arguments.out, progress)
        data = merged.data
        wrong = [finding for finding in _audited(data, progress) if not finding.passed]
    if arguments.json:
        write_json(
            {
                "path": str(data.path),
                "vectors": len(data),
                "dim": data.dim,
                "dtype": str(data.vectors.dtype),
                "documents": len(set(data.documents.tolist())),
                "fingerprint": data.fingerprint,
                "repeated_documents": merged.repeated,
                "notices": merged.notices,
                "findings": [finding.record() for finding in wrong],
            }
        )
        return
    write_lines([_summary(data), *merged.notices, *finding_lines(wrong)])


def _summary(data: VectorSet) -> str:
    documents = len(set(data.documents.tolist()))
    return (
        f"{data.path}: {_number(len(data))} vectors of {data.dim} numbers, {_number(documents)} documents, "
        f"fingerprint {data.fingerprint}"
    )


def _audited(data: VectorSet, progress: Progress) -> tuple[Finding, ...]:
    """What the audit says of a set, under the default split, worst first."""
    from engine.audit.data import audit_data
    from engine.data.split import split_documents

    try:
        return worst_first(audit_data(data, split_documents(data, 0), progress=progress))
    except KeyboardInterrupt:
        sys.stderr.write("the set is in place; its audit was interrupted\n")
        return ()


def _info(arguments: argparse.Namespace) -> None:
    from engine.data.info import describe

    with terminal_progress() as progress:
        info = describe(resolve_data(arguments.path, progress), arguments.split_seed, progress)
    if arguments.json:
        write_json(asdict(info))
        return
    length, norms = info.document_length, info.norms
    neighbours = "none in one document" if info.neighbour_cosine is None else f"{info.neighbour_cosine:.3f}"
    # A set without documents is cut into blocks, the same for every seed.
    held = {name: f"{_number(sizes['documents'])} documents, " for name, sizes in info.splits.items()}
    splits = " · ".join(
        f"{name} {held[name] if info.documents else ''}{_number(sizes['vectors'])} vectors"
        for name, sizes in info.splits.items()
    )
    rows = {
        "vectors": f"{_number(info.vectors)} × {info.dim} {info.dtype} ({info.size / 1e6:.1f} MB)",
        "documents": f"{_number(info.documents)} of {_number(length['min'])} to {_number(length['max'])} "
        f"vectors (median {_number(length['median'])})"
        if info.documents
        else "none: one stream of vectors",
        "norms": f"{norms['min']:.4f} to {norms['max']:.4f} (mean {norms['mean']:.4f})",
        "cosine": f"neighbours {neighbours}, random pairs {info.random_cosine:.3f} "
        f"({_number(info.pairs)} pairs of neighbours)",
        "duplicates": f"{info.duplicate_share:.1%} of the vectors repeat an earlier one exactly",
        "splits": splits + (f" (seed {info.split_seed})" if info.documents else ", with gaps between"),
        "context": f"up to {_number(info.longest_context)} vectors"
        + (
            f"; within one document up to {_number(info.longest_context_within_document)}"
            if info.documents
            else ", the gap between the splits"
        ),
        "texts": "kept" if info.texts else "not kept",
        "encoder": info.encoder or "not recorded",
        "left out": _counts(info.dropped) or "nothing recorded",
        "fingerprint": info.fingerprint,
    }
    write_lines([info.path, *(f"{name:<12} {value}" for name, value in rows.items())])


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ")


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {why}" for why, count in counts.items())


def write_json(content: dict[str, Any]) -> None:
    """Print JSON."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def write_lines(lines: list[str]) -> None:
    """Lines as text; what the data bring along cannot steer the terminal."""
    sys.stdout.writelines(f"{clean(line)}\n" for line in lines)
