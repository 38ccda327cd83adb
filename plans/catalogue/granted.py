"""What a version that is being typed grants of credit and says of jobs, in words."""

from typing import NamedTuple

from plans.catalogue.editing import Typed
from plans.rating import USUAL_JOBS, Terms, warnings_in_terms
from plans.rating.credit_words import allotment_words, each_words, job_rows, pack_words
from plans.terms import terms_from


class Granted(NamedTuple):
    """Each pack, allotment and job term in words; ``each`` is what a credit of each pack costs.

    ``warnings`` are what can be published and is likely a mistake. A list in which something is
    wrong is empty.
    """

    packs: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    allotments: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def granted_words(read: Typed) -> Granted:
    """Return what a typed version grants beside its prices, in words, as far as it can be read."""
    document = read.document
    if document is None:
        return Granted()
    terms, _ = terms_from(currency=document.currency, rows=document.rows, grants=document.grants)
    wrong = {problem.field.partition("[")[0].partition(".")[0] for problem in read.in_the_way}
    if wrong & {"packs", "allotments", "jobs"}:
        return Granted()
    is_whole = not wrong and None not in read.prices
    return Granted(
        packs=tuple(
            f"{pack.name}: {pack_words(pack, currency=terms.currency)}" for pack in terms.packs
        ),
        each=tuple(f"{each_words(pack)} {terms.currency}" for pack in terms.packs),
        allotments=tuple(f"{each.name}: {allotment_words(each)}" for each in terms.allotments),
        jobs=_jobs(terms),
        warnings=tuple(one.message for one in warnings_in_terms(terms)) if is_whole else (),
    )


def _jobs(terms: Terms) -> tuple[str, ...]:
    """Return the terms of jobs that are not as usual."""
    usual = dict.fromkeys(job_rows(USUAL_JOBS, currency=terms.currency))
    rows = (row for row in job_rows(terms.jobs, currency=terms.currency) if row not in usual)
    return tuple(f"{label[:1].upper()}{label[1:]}: {value}" for _, label, value in rows)
