"""What people's ratings are measured by, for the catalogue of all metrics."""

from eval.metric import MetricInfo, Scope
from eval.rubric.criteria import CRITERIA

NEEDS = "raters' files of a page of rubric=make"
OWEN = "intervals: Owen 2007, Annals of Applied Statistics 1, 386-411"

METRICS: tuple[MetricInfo, ...] = (
    *(
        MetricInfo(
            name=f"human_{criterion.name}",
            unit="grade 1-5",
            higher_is_better=True,
            scope=Scope.set,
            formula="mean over pictures of the mean over raters",
            source=f"this project, anchors in eval/rubric/criteria.py; {OWEN}",
            needs=NEEDS,
        )
        for criterion in CRITERIA
    ),
    MetricInfo(
        name="human_mean",
        unit="grade 1-5",
        higher_is_better=True,
        scope=Scope.set,
        formula="mean over pictures of the mean over raters of the mean of all five criteria",
        source=f"this project; {OWEN}",
        needs=NEEDS,
    ),
    MetricInfo(
        name="krippendorff_alpha",
        unit="",
        higher_is_better=True,
        scope=Scope.set,
        formula="1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck, ordinal or interval d",
        source="Krippendorff 2011, Computing Krippendorff's Alpha-Reliability",
        needs=f"{NEEDS}, two or more raters",
    ),
    MetricInfo(
        name="preference_share",
        unit="",
        higher_is_better=True,
        scope=Scope.set,
        formula="(wins + ties / 2) / (wins + ties + losses) against the base",
        source=f"this project; {OWEN}",
        needs=f"{NEEDS} mode=pairwise",
    ),
    MetricInfo(
        name="log_strength",
        unit="",
        higher_is_better=True,
        scope=Scope.set,
        formula="log p, P(i beats j) = p_i / (p_i + p_j + v sqrt(p_i p_j)), half a win added",
        source="Davidson 1970, JASA 65, 317-328; fitted as Hunter 2004, Ann. Statist. 32, 384-406",
        needs=f"{NEEDS} mode=pairwise",
    ),
    MetricInfo(
        name="rater_same_share",
        unit="",
        higher_is_better=True,
        scope=Scope.set,
        formula="share of answers that one rater gave alike the second time",
        source="this project",
        needs=f"{NEEDS} with num_repeats above 0",
    ),
)
