"""Turn metered quantities into money: pure functions over frozen values, standard library only."""

from plans.rating.adjustments import Adjustment
from plans.rating.allowance import BeyondAllowance
from plans.rating.bounded import Used, rate_beside
from plans.rating.changes import Change
from plans.rating.charge import Part
from plans.rating.compare import Comparison, Effect, PriceChanged, PriceListed, compare
from plans.rating.credit_terms import CreditAllotment, CreditPack
from plans.rating.curve import Point, curve
from plans.rating.event_amount import EventAmount
from plans.rating.explain import in_words
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.job_terms import USUAL_JOBS, JobTerms
from plans.rating.late_starts import without_late_credits
from plans.rating.lines import RatedLine
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import CreditUnit, RatingError, Unit, minor_units, round_money, split
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.periods import (
    Period,
    billing_period,
    fee_dates,
    local_date,
    local_midnight,
    share,
)
from plans.rating.phases import WHOLE_LIFE, PhaseSpan, in_phase, phase_at, phase_spans
from plans.rating.prices import (
    ChargeModel,
    Limit,
    Overage,
    Phase,
    Price,
    ServiceClass,
    Terms,
    unit_of,
)
from plans.rating.rate import line_key, rate
from plans.rating.samples import sample_usage, samples
from plans.rating.seats import Seats
from plans.rating.tiers import Tier
from plans.rating.usage import Cell, DayLevels, Usage
from plans.rating.validation import Problem, problems, problems_in_terms, warnings_in_terms
from plans.rating.volume import Volume

__all__ = [
    "USUAL_JOBS",
    "WHOLE_LIFE",
    "Adjustment",
    "BeyondAllowance",
    "Cell",
    "Change",
    "ChargeModel",
    "Comparison",
    "CreditAllotment",
    "CreditPack",
    "CreditUnit",
    "DayLevels",
    "Effect",
    "EventAmount",
    "Flat",
    "Graduated",
    "GraduatedPercentage",
    "JobTerms",
    "Limit",
    "Matrix",
    "MatrixRate",
    "Overage",
    "Package",
    "Part",
    "PerUnit",
    "PercentTier",
    "Percentage",
    "Period",
    "Phase",
    "PhaseSpan",
    "Point",
    "Price",
    "PriceChanged",
    "PriceListed",
    "Problem",
    "RatedLine",
    "RatingError",
    "Seats",
    "ServiceClass",
    "Terms",
    "Tier",
    "Unit",
    "Usage",
    "Used",
    "Volume",
    "billing_period",
    "compare",
    "curve",
    "fee_dates",
    "in_phase",
    "in_words",
    "line_key",
    "local_date",
    "local_midnight",
    "minor_units",
    "phase_at",
    "phase_spans",
    "problems",
    "problems_in_terms",
    "rate",
    "rate_beside",
    "round_money",
    "sample_usage",
    "samples",
    "share",
    "split",
    "unit_of",
    "warnings_in_terms",
    "without_late_credits",
]
