"""A study that has been run."""

import pytest
import yaml

from pykeen_mmkg.study.study import Study

from .cases import CONFIG


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    path = directory / "small.yaml"
    path.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    study = Study.load(path)
    study.run(directory / "out", progress=False)
    return study, directory / "out"
