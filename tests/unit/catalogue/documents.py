"""Documents for tests: a small good one, and a strategy for any, over all nine charge models."""

import copy

from hypothesis import strategies as st

GOOD = {
    "meters": [
        {
            "key": "tokens",
            "name": "Tokens",
            "event_type": "completion",
            "aggregation": "sum",
            "property": "tokens",
            "dimensions": ["model", "queue"],
            "unit": "tokens",
        }
    ],
    "plans": [
        {
            "key": "api",
            "name": "API",
            "currency": "USD",
            "effective_from": "2026-01-01T00:00:00Z",
            "prices": [
                {"key": "fee", "name": "Fee", "model": "flat", "amount": "500"},
                {
                    "key": "tokens",
                    "name": "Tokens",
                    "model": "graduated",
                    "meter": "tokens",
                    "tiers": [
                        {"up_to": 1000, "unit": "0.04", "flat": "5"},
                        {"up_to": None, "unit": "0.03"},
                    ],
                },
                {
                    "key": "models",
                    "name": "Models",
                    "model": "matrix",
                    "meter": "tokens",
                    "rates": [{"match": {"model": "gpt-4o", "queue": "*"}, "unit": "0.5"}],
                    "default": "refuse",
                },
            ],
        }
    ],
}


def good(**changes):
    """A copy of the good document with values set, deleted (None) or added by path."""
    document = copy.deepcopy(GOOD)
    for path, value in changes.items():
        put(document, path, value)
    return document


class Deleted:
    """Stands for a field that is left out; its name in a test's id is the same in every process."""

    def __repr__(self) -> str:
        return "deleted"


DELETED = Deleted()


def put(document, path, value):
    """Set the value at ``plans.0.prices.1.key``, or delete it."""
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in above:
        document = document[part]
    if value is DELETED:
        del document[last]
    else:
        document[last] = value


keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,8}", fullmatch=True)
letters = st.characters(exclude_categories=["Cs", "Cc"])
names = st.text(letters, min_size=1, max_size=12).filter(str.strip)
texts = st.text(letters | st.just("\n"), max_size=20)
amounts = st.decimals(0, 10**9, places=4).map(lambda d: f"{d:f}") | st.integers(0, 10**6)
sizes = st.integers(1, 10**6) | st.sampled_from(["0.5", "1000000"])
percents = st.integers(0, 100) | st.decimals(0, 100, places=3).map(str)
values = st.text(letters, max_size=6).filter(lambda text: text != "*")


@st.composite
def meters(draw, key):
    aggregation = draw(st.sampled_from(
        ["count", "sum", "max", "latest", "unique_count", "time_weighted"]
    ))  # fmt: skip
    meter = {"key": key, "name": draw(names), "event_type": draw(names), "aggregation": aggregation}
    if aggregation != "count":
        meter["property"] = draw(names)
    return meter | draw(st.fixed_dictionaries({}, optional={
        "filters": st.dictionaries(names, st.lists(values, min_size=1, max_size=3), max_size=2),
        "rounding": st.sampled_from(["none", "up", "nearest", "down"]),
        "rounding_multiple": sizes,
        "unit": st.text(letters, max_size=8),
    })) | {"dimensions": draw(st.lists(names, unique=True, min_size=1, max_size=3))}  # fmt: skip


@st.composite
def tiers(draw, amount, name):
    bounds = sorted(draw(st.sets(st.integers(1, 10**6), max_size=3)))
    return [
        {"up_to": bound, name: draw(amount)} | draw(
            st.fixed_dictionaries({}, optional={"flat": amounts})
        )
        for bound in [*bounds, None]
    ]  # fmt: skip


@st.composite
def rates(draw, dimensions):
    """Rates over one set of named dimensions, so that none is as specific as another it meets."""
    named = draw(st.lists(st.sampled_from(dimensions), unique=True, min_size=1))
    matches = draw(st.lists(
        st.tuples(*[values for _ in named]), unique=True, min_size=1, max_size=3
    ))  # fmt: skip
    rest = {name: "*" for name in dimensions if draw(st.booleans())}
    return [
        {"match": rest | dict(zip(named, match, strict=True)), "unit": draw(amounts)}
        | draw(st.fixed_dictionaries({}, optional={"label": names}))
        for match in matches
    ]


@st.composite
def prices(draw, key, model, meter):
    minimum = draw(st.integers(0, 100))
    common = {
        "discount_percent": percents,
        "minimum": st.just(str(minimum)),
        "maximum": st.integers(minimum, 10**6),
        "prorated": st.booleans(),
    }
    metered = common | {"allowance": amounts}
    tiered = metered | {"unit_size": sizes, "charge_first_tier_at_zero": st.booleans()}
    own, optional = {
        "flat": ({"amount": amounts}, common | {"once": st.booleans()}),
        "per_unit": ({"amount": amounts}, metered | {"unit_size": sizes}),
        "package": (
            {"amount": amounts, "package_size": sizes}, metered | {"free_quantity": amounts}
        ),
        "graduated": ({"tiers": tiers(amounts, "unit")}, tiered),
        "volume": ({"tiers": tiers(amounts, "unit")}, tiered),
        "percentage": ({"percent": percents}, common | {
            "fixed_amount": amounts,
            "free_transactions": st.integers(0, 1000),
            "free_amount": amounts,
            "minimum_per_transaction": st.just("1.5"),
            "maximum_per_transaction": st.integers(2, 50),
        }),
        "graduated_percentage": ({"tiers": tiers(percents, "percent")}, metered),
        "event_amount": ({}, metered),
        "matrix": (
            {"rates": rates(meter["dimensions"]), "default": amounts | st.just("refuse")},
            metered | {"unit_size": sizes},
        ),
    }[model]  # fmt: skip
    price = {"key": key, "name": draw(names), "model": model}
    if model != "flat":
        price["meter"] = meter["key"]
    return price | draw(st.fixed_dictionaries(own, optional=optional))


@st.composite
def versions(draw, meter, at):
    models = draw(st.permutations([
        "flat", "per_unit", "package", "graduated", "volume", "percentage",
        "graduated_percentage", "event_amount", "matrix",
    ]))  # fmt: skip
    chosen = models[: draw(st.integers(1, 9))]
    version = {
        "currency": "EUR",
        "note": draw(texts),
        "prices": [draw(prices(f"p{index}", model, meter)) for index, model in enumerate(chosen)],
    }
    if at is not None:
        version["effective_from"] = at
    return version


@st.composite
def documents(draw):
    """A document with a meter and a plan of one to three versions, the last perhaps a draft."""
    meter = draw(meters(draw(keys)))
    starts = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00+01:00", None]
    chosen = [draw(versions(meter, at)) for at in starts[: draw(st.integers(1, 3))]]
    plan = {"key": draw(keys), "name": draw(names), "description": draw(texts)}
    if len(chosen) == 1:
        return {"meters": [meter], "plans": [plan | chosen[0]]}
    return {"meters": [meter], "plans": [plan | {"versions": chosen}]}
