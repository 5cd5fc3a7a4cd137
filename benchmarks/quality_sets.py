"""The fifteen public quality tables: task, metric, and the column whose values stay together.

Each is a Parquet file with the columns `row_id`, `label`, `part` (train, validation, test) and features.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class QualitySet:
    """What a quality table is judged by."""

    task: str
    metric: str
    group: str | None = None
    """The column of the groups that the parts keep together: no feature, and the unit of the intervals."""


BINARY = QualitySet(task="binary", metric="auc")
MULTICLASS = QualitySet(task="multiclass", metric="log_loss")
REGRESSION = QualitySet(task="regression", metric="rmse")
QUALITY_SETS = {
    "student_dropout": MULTICLASS,
    "ames_housing": REGRESSION,
    "fuel_economy": REGRESSION,
    "concrete": REGRESSION,
    "telco_churn": BINARY,
    "heart_attack": MULTICLASS,
    "letter": MULTICLASS,
    "bike_sharing": REGRESSION,
    "adult": BINARY,
    "california_housing": REGRESSION,
    "online_shoppers": BINARY,
    "dry_bean": MULTICLASS,
    "open_payments": BINARY,
    "parkinsons": QualitySet(task="regression", metric="rmse", group="subject"),
    "blood_transfusion": BINARY,
}
