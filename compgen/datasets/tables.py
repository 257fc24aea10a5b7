"""Rows of Arrow and Parquet files, as Hugging Face's ``datasets`` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compgen.errors import BadInputError, MissingExtraError

#: Suffixes of the files that :func:`batches` reads.
TABLES = (".parquet", ".arrow")


def batches(
    path: Path, wanted: Callable[[list[str], Path], list[str]], rows: int = 256
) -> Iterator[list[dict[str, Any]]]:
    """Some rows of an Arrow or Parquet file at a time, with the columns that ``wanted(columns, path)`` chooses.

    Raises :class:`~compgen.errors.BadInputError` for damage, and :class:`~compgen.errors.MissingExtraError` without the
    extra ``arrow``.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError(f"reading {path.name}", "arrow") from None
    if not path.is_file():
        raise BadInputError(f"{path}: no such file")
    try:
        if path.suffix.lower() == ".parquet":
            with parquet.ParquetFile(path, memory_map=True) as file:
                columns = wanted(file.schema_arrow.names, path)
                for batch in file.iter_batches(rows, columns=columns):
                    yield batch.to_pylist()
            return
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as batches:
            columns = wanted(batches.schema.names, path)
            for batch in batches:
                kept = batch.select(columns)
                for first in range(0, kept.num_rows, rows):
                    yield kept.slice(first, rows).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInputError(f"{path}: not a whole {path.suffix} file ({str(error).splitlines()[0]})") from None
