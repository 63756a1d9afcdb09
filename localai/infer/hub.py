"""Files of the hub, fetched through huggingface_hub; the one file that imports it for models.

A download that was cut off goes on where it ended, also in another process. What came is compared
with the digest that was promised before anything else reads it.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import httpx
import huggingface_hub as hub
from huggingface_hub import constants, errors
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils.tqdm import tqdm

from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.core.files import private_dir
from localai.infer.catalogue import HubFile
from localai.infer.receipt import file_sha256

Report = Callable[[int], None]


def look(repository: str, revision: str, file: str) -> tuple[HubFile, str]:
    """The file's size and digest as the hub states them, and the commit that it is of."""
    with _translated(f"{repository}/{file}"):
        url = hub.hf_hub_url(repository, file, revision=revision)
        found = hub.get_hf_file_metadata(url, token=_token())
    if found.size is None or found.etag is None or len(found.etag) != len("a" * 64):
        message = f"the hub states no SHA-256 of {repository}/{file}"
        raise Unavailable(message, hint="fetch it another way, then: ai models add FILE.gguf")
    return HubFile(file, found.size, found.etag), found.commit_hash or revision


def listing(repository: str) -> tuple[dict[str, HubFile], str]:
    """The repository's files by name, as the hub states them, and the commit that they are of."""
    with _translated(repository, "ai rag models list"):
        found = hub.HfApi(token=_token()).model_info(
            repository, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
    files = {
        each.rfilename: HubFile(
            each.rfilename, each.size, each.lfs.sha256 if each.lfs else None, each.blob_id
        )
        for each in found.siblings or ()
    }
    return files, found.sha or "main"


def fetch(repository: str, revision: str, file: HubFile, into: Path, report: Report) -> Path:
    """The file under `into`, whole and with its digest; `report` hears how many bytes have come.

    What has come stays there, in a name of its own for each digest, until the file is whole: one
    process at a time fetches into a folder. Unavailable where the digest turns out to be another,
    or more comes than was promised: then it is removed.
    """
    # hf_hub_download, which does all of this but going on, throws away what was cut off.
    place = into / Path(file.name).name
    part = into / f"{place.name}.{(file.sha256 or file.blob or '')[:16]}.part"
    with _translated(f"{repository}/{file.name}"):
        private_dir(into)
        if place.is_file() and _is_promised(place, file):
            report(place.stat().st_size)
            return place
        with part.open("ab") as stream:
            part.chmod(0o600)
            if stream.tell() > (file.size_bytes or 0):
                stream.truncate(0)
                stream.seek(0)
            report(stream.tell())
            http_get(
                hub.hf_hub_url(repository, file.name, revision=revision),
                stream,
                resume_size=stream.tell(),
                headers=build_hf_headers(token=_token()),
                expected_size=file.size_bytes,
                tqdm_class=_reporting(report, (file.size_bytes or 0) - stream.tell()),
            )
        if not _is_promised(part, file):
            part.unlink()
            message = f"{repository}/{file.name} is not what was promised: its digest is another"
            raise Unavailable(message, hint="try again; if it stays so, do not trust the source")
        return part.replace(place)


def _is_promised(place: Path, file: HubFile) -> bool:
    if file.sha256:
        return file_sha256(place) == file.sha256
    # Small files have no SHA-256 on the hub, only their id in git.
    content = place.read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return digest.hexdigest() == file.blob


def _token() -> str | bool:
    """The token that was set for us, not what another tool keeps; none where others can listen."""
    hub_url = httpx.URL(constants.ENDPOINT)
    is_safe = hub_url.scheme == "https" or hub_url.host in {"localhost", "127.0.0.1"}
    return (is_safe and os.environ.get("HF_TOKEN")) or False


def _reporting(report: Report, most: int) -> type[Any]:
    """A progress bar that draws nothing and tells how many bytes have come, `most` at most."""

    class Reporting(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call]
            self._left = most

        def update(self, n: float | None = 1) -> None:
            self._left -= int(n or 0)
            if self._left < 0:
                raise Unavailable("more comes than was promised", hint="do not trust the source")
            report(int(n or 0))

    return Reporting


@contextmanager
def _translated(what: str, known: str = "ai models pull   lists the catalogue") -> Iterator[None]:
    try:
        yield
    except errors.GatedRepoError as error:
        message = f"{what} is given only to those who accepted its licence"
        hint = (
            "accept it on the hub's page of the repository, then set HF_TOKEN to a token of yours"
        )
        raise Denied(message, hint=hint) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise NotFound(f"the hub has no {what}", hint=known) from error
    except errors.LocalEntryNotFoundError as error:
        message = f"{what} cannot be fetched: there is no way to the hub"
        raise Unavailable(message, hint="the same command goes on where it ended") from error
    except errors.EntryNotFoundError as error:
        raise NotFound(f"the hub has no {what}", hint=known) from error
    except errors.HFValidationError as error:
        raise Invalid(f"{what} cannot be a file of the hub") from error
    except ValueError as error:
        raise Unavailable(f"{what} could not be fetched: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        message = f"{what} could not be fetched"
        raise Unavailable(message, hint="the same command goes on where it ended") from error
