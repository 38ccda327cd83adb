"""Documents for tests: a small good one, and a strategy for any, over all that a plan can say."""

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


SEATS = {
    "key": "seats.held", "name": "Seats", "event_type": "seats", "aggregation": "time_weighted",
    "property": "seats", "unit": "seats",
}  # fmt: skip
TARGET = "target.plan"
FEATURES = ("sso", "export", "priority")
PHASES = ("trial", "intro", "steady")
CLASSES = ("standard", "express")
UNITS = {"TOKN": 0, "FINE_CREDIT": 3}
JOB_CLASSES = ("render", "train")

overages = st.one_of(
    st.sampled_from([{"policy": "rate"}, {"policy": "refuse"}]),
    st.just({"policy": "upgrade", "plan": TARGET}),
    st.fixed_dictionaries(
        {"policy": st.just("packs"), "size": sizes, "amount": amounts},
        optional={"most": st.integers(1, 20), "months": st.integers(1, 24)},
    ),
)
allowances = st.fixed_dictionaries(
    {"allowance": st.integers(1, 10**6)},
    optional={"allowance_per": st.sampled_from(["customer", "workspace"]), "overage": overages},
)


@st.composite
def prices(draw, key, model, meter, phases=(), classes=()):
    minimum = draw(st.integers(0, 100))
    common = {
        "discount_percent": percents,
        "minimum": st.just(str(minimum)),
        "maximum": st.integers(minimum, 10**6),
        "prorated": st.booleans(),
    }
    common["credit"] = st.sampled_from(sorted(UNITS))
    if phases:
        common["phases"] = st.lists(st.sampled_from(phases), unique=True)
    metered = common | {"attribution": st.sampled_from(["usage", "completion", "start"])}
    tiered = metered | {"unit_size": sizes, "charge_first_tier_at_zero": st.booleans()}
    by_class = {"class_dimension": st.sampled_from(meter["dimensions"])} if classes else {}
    own, optional = {
        "flat": ({"amount": amounts}, common),
        "per_unit": ({"amount": amounts}, metered | {"unit_size": sizes} | by_class),
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
        "seats": (
            {"amount": amounts},
            common | {"seats_removed": st.sampled_from(["period_end", "by_day"])},
        ),
    }[model]  # fmt: skip
    price = {"key": key, "name": draw(names), "model": model}
    if model != "flat":
        price["meter"] = SEATS["key"] if model == "seats" else meter["key"]
    price |= draw(st.fixed_dictionaries(own, optional=optional))
    if model == "flat":
        price |= draw(st.sampled_from([{}, {"once": True}, {"every_months": 12}]))
    elif model not in {"seats", "percentage"} and draw(st.booleans()):
        price |= draw(allowances)
    if model == "matrix":
        price.pop("allowance_per", None)
    if "credit" in price:
        price |= draw(st.fixed_dictionaries({}, optional={"beyond_credit": amounts}))
        if price.get("overage", {}).get("policy") == "packs":
            del price["overage"]
    return price


whole_money = st.decimals(0, 10**6, places=2).map(str) | st.integers(0, 10**6)
positive = st.integers(1, 10**6)
months = st.integers(1, 36)


@st.composite
def packs(draw):
    return [
        {"key": f"pack-{index}", "name": draw(names), "unit": draw(st.sampled_from(sorted(UNITS)))}
        | {"credits": draw(positive), "amount": draw(whole_money)}
        | draw(st.fixed_dictionaries({}, optional={
            "expires_months": months, "needs_payment": st.booleans(),
            "priority": st.integers(0, 200),
        }))
        for index in range(draw(st.integers(0, 3)))
    ]  # fmt: skip


@st.composite
def allotments(draw, meter):
    found = []
    for index in range(draw(st.integers(0, 2))):
        each = {"key": f"allotment-{index}", "name": draw(names), "amount": draw(positive)}
        each |= draw(st.fixed_dictionaries({}, optional={
            "expires_months": months, "priority": st.integers(0, 200), "rollovers": st.just(1),
            "meters": st.just([meter["key"]]),
        }))  # fmt: skip
        if draw(st.booleans()):
            each |= {"unit": "FINE_CREDIT", "amount": "12.125", "job_classes": ["render"]}
        each |= draw(st.sampled_from([{}, {"rollover_percent": "12.5"}, {
            "rollover_percent": 100, "rollover_months": 2, "rollovers": 3,
        }]))  # fmt: skip
        found.append(each)
    return found


job_terms = st.fixed_dictionaries({}, optional={
    "bill_attempts": st.sampled_from(["successful", "all"]),
    "bill_input_failures": st.booleans(),
    "bill_cancelled": st.booleans(),
    "bill_expired": st.booleans(),
    "hold_at": st.sampled_from(["low", "expected", "high"]),
    "above_hold": st.sampled_from(["charge", "cap", "block"]),
    "grace_amount": amounts,
    "late_start_most": amounts,
})  # fmt: skip


@st.composite
def job_classes(draw, meter):
    return [
        {"key": key, "name": draw(names)} | draw(st.fixed_dictionaries({}, optional={
            "input_unit": st.sampled_from(["job", "frame"]),
            "silence_seconds": st.integers(10, 10**5),
            "usage": st.just(
                [{"meter": meter["key"], "low": "0.5", "expected": 1, "high": "2.25"}]
            ),
        }))
        for key in JOB_CLASSES
    ]  # fmt: skip


@st.composite
def phases(draw):
    """One to three phases, of days or months, the last one open; or none at all."""
    chosen = draw(st.sampled_from([(), PHASES[2:], PHASES[1:], PHASES]))
    lengths = st.one_of(
        st.fixed_dictionaries({"days": st.integers(1, 90)}),
        st.fixed_dictionaries({"months": st.integers(1, 12)}),
    )
    discounts = st.fixed_dictionaries({}, optional={"discount_percent": percents})
    return [
        {"key": key, "name": draw(names)}
        | ({} if key == chosen[-1] else draw(lengths))
        | draw(discounts)
        for key in chosen
    ]


@st.composite
def grants(draw, meter):
    classes = [
        {"key": key, "name": draw(names)} | draw(st.fixed_dictionaries({}, optional={
            "multiplier": st.sampled_from(["1", "1.5", "0.5", 2]),
            "start_within_minutes": st.integers(0, 600),
        }))
        for key in CLASSES[: draw(st.integers(0, 2))]
    ]  # fmt: skip
    kinds = ["concurrent_jobs", "jobs_per_hour", "jobs_per_day", "spend_per_day"]
    limited = draw(st.lists(
        st.tuples(st.sampled_from(kinds), st.sampled_from(["", "render"])), unique=True, max_size=4
    ))  # fmt: skip
    limits = [
        {"kind": kind, "value": draw(st.integers(1, 1000))}
        | ({"job_class": job_class} if job_class else {})
        for kind, job_class in limited
    ]
    return {
        "features": draw(st.lists(st.sampled_from(FEATURES), unique=True)),
        "limits": limits,
        "service_classes": classes,
        "phases": draw(phases()),
        "packs": draw(packs()),
        "allotments": draw(allotments(meter)),
        "jobs": draw(job_terms),
    }


@st.composite
def versions(draw, meter, currency, at):
    models = draw(st.permutations([
        "flat", "per_unit", "package", "graduated", "volume", "percentage",
        "graduated_percentage", "event_amount", "matrix", "seats",
    ]))  # fmt: skip
    granted = draw(grants(meter))
    keys_of = {
        name: [each["key"] for each in granted[name]] for name in ("phases", "service_classes")
    }
    version = granted | {
        "currency": currency,
        "note": draw(texts),
        "prices": [
            draw(prices(f"p{index}", model, meter, keys_of["phases"], keys_of["service_classes"]))
            for index, model in enumerate(models[: draw(st.integers(1, 5))])
        ],
    }
    if at is not None:
        version["effective_from"] = at
    elif draw(st.booleans()):
        unfinish(version, draw(st.sampled_from(["prices", "price"])))
    return version


def unfinish(version, what):
    """Take away what a version needs before it can be published."""
    version["unfinished"] = True
    if what == "prices":
        version["prices"] = []
        return
    price = version["prices"][0]
    for name in ("amount", "percent"):
        if name in price:
            price[name] = None
    for name in ("tiers", "rates"):
        if name in price:
            price[name] = []
    if price["model"] == "event_amount":
        price |= {"minimum": 2, "maximum": 1}


@st.composite
def documents(draw):
    """A plan of one to four versions in one or two currencies, the last perhaps a draft.

    There is another plan, before it or after it, that its prices may move customers to.
    """
    meter = draw(meters(draw(keys)))
    starts = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00+01:00", None]
    said = [("EUR", at) for at in starts[: draw(st.integers(1, 3))]]
    said += [("USD", at) for at in starts[: draw(st.integers(0, 2))]]
    chosen = [draw(versions(meter, currency, at)) for currency, at in draw(st.permutations(said))]
    chosen.sort(key=lambda version: version.get("effective_from", "9"))
    if "effective_from" in chosen[-1] and draw(st.booleans()):
        chosen[-1]["effective_until"] = "2026-05-01T00:00:00Z"
    plan = {"key": draw(keys), "name": draw(names), "description": draw(texts)}
    plan |= chosen[0] if len(chosen) == 1 else {"versions": chosen}
    fee = {"key": "fee", "name": "Fee", "model": "flat", "amount": 1}
    target = {"key": TARGET, "name": "Target", "versions": [
        {"currency": each, "effective_from": starts[0], "prices": [fee]} for each in ("EUR", "USD")
    ]}  # fmt: skip
    return {
        "meters": [meter, SEATS],
        "features": [
            {"key": key, "name": draw(names)} | draw(
                st.fixed_dictionaries({}, optional={"description": texts})
            )
            for key in FEATURES
        ],
        "credit_units": [
            {"code": code, "name": draw(names), "decimals": decimals}
            for code, decimals in UNITS.items()
        ],
        "job_classes": draw(job_classes(meter)),
        "plans": draw(st.permutations([plan, target])),
    }  # fmt: skip
