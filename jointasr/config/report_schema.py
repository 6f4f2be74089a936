"""``conf/report.yaml``: keys, types, defaults and meaning."""

from typing import Annotated

from pydantic import Field

from jointasr.config.fields import Count, Section


class Report(Section):
    """Options of stage 10 (report)."""

    margin_wer: Annotated[float, Field(ge=0)] = 1.0
    """non-inferiority margin of the joint system, points of WER"""
    margin_acc: Annotated[float, Field(ge=0)] = 1.0
    """non-inferiority margin of the joint system, points of accuracy"""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """significance level"""
    resamples: Annotated[int, Field(ge=100)] = 10000
    """number of bootstrap resamples of the utterances"""
    seed: Count = 0
    """seed of the bootstrap"""
    worst: Count = 5
    """number of utterances with the most errors shown, with audio, per scenario"""
