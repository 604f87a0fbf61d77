"""Where published weights lie: a folder in the published layout, the hub's cache, or the hub.

A model on the hub is a repository whose sub-folders hold its networks, tokenizer and scheduler. In
a folder of one's own, each repository is a sub-folder by its last name: showlab/show-1-base is
FOLDER/show-1-base.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vmc.errors import BadInput

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
SMALL = (".json", ".txt", ".model")  # configurations, and what tokenizers are made of
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Repository:
    """A repository on the hub, and the parts of it that are used."""

    name: str
    networks: tuple[str, ...]
    """Sub-folders with weights; "." is the repository itself."""
    others: tuple[str, ...]
    """Sub-folders without: schedulers, tokenizers."""
    gigabytes: float
    """What is downloaded, in half precision."""

    @property
    def folder_name(self) -> str:
        return self.name.partition("/")[2]

    def within(self, folder: Path) -> Path:
        """Its sub-folder of a folder that holds several; BadInput if it is not whole."""
        place = folder / self.folder_name
        if lacking := self._lacking(place):
            raise BadInput(
                f"{place / lacking} is not there or not whole: put the files of {self.name} into "
                f"{place}, for instance with `hf download {self.name} --local-dir {place}` "
                f"({self.gigabytes:g} GB)."
            )
        return place

    def downloaded(self) -> Path:
        """Its folder in the hub's cache, after downloading what is not there yet.

        Raises BadInput if it is gated, cannot be reached, or does not fit on the disk.
        """
        from huggingface_hub import constants, errors, snapshot_download

        try:
            place = Path(snapshot_download(self.name, local_files_only=True))
            if not self._lacking(place):
                return place
        except errors.LocalEntryNotFoundError:
            pass
        cache = Path(constants.HF_HUB_CACHE)
        where = f"{self.gigabytes:g} GB are needed, in {cache} or as a folder {self.folder_name}"
        self._check_room(cache)
        try:
            place = Path(snapshot_download(self.name, allow_patterns=self._wanted()))
        except errors.GatedRepoError as error:
            raise BadInput(
                f"{self.name} is gated: accept its licence at {HUB}/{self.name} with your account, "
                f"then log in with `hf auth login` ({where})."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise BadInput(
                f"{self.name} is not on the hub, or not for you: look at {HUB}/{self.name}, and "
                f"log in with `hf auth login` if it is private ({where})."
            ) from error
        except (OSError, errors.HTTPError) as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise BadInput(
                f"{self.name} is not whole on this machine, and could not be downloaded "
                f"({reason}): connect to the hub and try again, which goes on where it stopped "
                f"({where})."
            ) from error
        if lacking := self._lacking(place):
            raise BadInput(
                f"{self.name} as published has no weights in {lacking} that vmc can read: look at "
                f"{HUB}/{self.name}/tree/main/{lacking}."
            )
        return place

    def _lacking(self, place: Path) -> str | None:
        """The first part that is not there in full."""
        for part in self.networks:
            if not (place / part / "config.json").is_file() or not weight_files(place / part):
                return part
        return next((part for part in self.others if not any((place / part).glob("*.json"))), None)

    def _wanted(self) -> list[str]:
        """The files to download: of each network's weights only one kind."""
        from huggingface_hub import HfApi

        files = [PurePosixPath(file) for file in HfApi().list_repo_files(self.name)]
        wanted = ["model_index.json"]
        for part in (*self.networks, *self.others):
            names = [f.name for f in files if f.parent == PurePosixPath(part)]
            chosen = [n for n in names if n.endswith(SMALL)] + chosen_weights(names)
            wanted += [str(PurePosixPath(part, name)) for name in chosen]
        return wanted

    def _check_room(self, cache: Path) -> None:
        there = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free / 1e9
        if free < self.gigabytes:
            raise BadInput(
                f"{self.name} needs {self.gigabytes:g} GB, but only {free:.1f} GB are free in "
                f"{cache}: make room, or set HF_HOME to a folder on another disk."
            )


def chosen_weights(names: Iterable[str]) -> list[str]:
    """Of the files of one network, those to load: half precision first, safetensors before .bin.

    All the shards or the one file; empty where none is whole.
    """
    names = set(names)
    for ending in ("safetensors", "bin"):
        for variant in (r"\.fp16", ""):
            for stem in STEMS:
                whole = re.compile(rf"{stem}{variant}\.{ending}")
                shard = re.compile(
                    rf"{stem}(?:{variant}-\d+-of-(\d+)|-\d+-of-(\d+){variant})\.{ending}"
                )
                if single := [name for name in names if whole.fullmatch(name)]:
                    return single
                shards = sorted(name for name in names if shard.fullmatch(name))
                if shards and len(shards) == int(re.search(r"-of-(\d+)", shards[0])[1]):
                    return shards
    return []


def weight_files(folder: Path) -> list[Path]:
    """The files of weights to load from a network's folder; empty where they are not whole."""
    if not folder.is_dir():
        return []
    return [folder / name for name in chosen_weights(f.name for f in folder.iterdir())]
