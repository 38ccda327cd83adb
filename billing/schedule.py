"""When Beat closes months. Rows: finance sees and edits them in the admin."""

from usage.schedule import Entry

CONTINUE_DRY_RUNS = Entry(
    name="Continue dry runs",
    task="billing.tasks.continue_dry_runs",
    description="Goes on with dry runs that no worker has in hand, as where one died.",
    every_minutes=5,
)
RATE_SPEND = Entry(
    name="Rate spend",
    task="billing.tasks.sweep_spend",
    description="Rates what customers have spent so far where usage came, and ends jobs' holds.",
    every_seconds=2,
)
EXPIRE_JOBS = Entry(
    name="Expire silent jobs",
    task="billing.tasks.expire_jobs",
    description="Ends jobs that report nothing any more, and bills what they reported.",
    every_minutes=1,
)
SEND_ALERTS_AND_WEBHOOKS = (
    Entry(
        name="Alert budgets",
        task="billing.tasks.alert_budgets",
        description="Finds budgets that reached a share or will end early; mails what waits.",
        every_minutes=1,
    ),
    Entry(
        name="Deliver webhooks",
        task="billing.tasks.deliver_webhooks",
        description="Tells endpoints of settled jobs, and sends what is due, also once more.",
        every_seconds=5,
    ),
    Entry(
        name="Forget old days of spend",
        task="billing.tasks.forget_spend_days",
        description="Deletes what days came to that no forecast looks at any more.",
        crontab=(("hour", "2"), ("minute", "20")),
    ),
)
ENTRIES = (
    Entry(
        name="Open and draft statements",
        task="billing.tasks.open_and_draft",
        description="Drafts each statement at 02:00 in its customer's time zone after the period.",
        every_minutes=15,
    ),
    Entry(
        name="Refresh drafts",
        task="billing.tasks.refresh",
        description="Builds drafts again through their grace time, with the usage that came since.",
        every_minutes=60,
    ),
    Entry(
        name="Finalise statements",
        task="billing.tasks.finalise_due",
        description="Finalises drafts whose grace time is over, or sends them to review.",
        every_minutes=15,
    ),
    Entry(
        name="Retry parked customers",
        task="billing.tasks.retry_parked",
        description="Tries parked statements again; success clears them.",
        crontab=(("hour", "1"), ("minute", "30")),
    ),
    Entry(
        name="Expire credit",
        task="billing.tasks.expire_credit",
        description="Ends holds and lets credit expire; balances know of it at the instant.",
        every_minutes=5,
    ),
    Entry(
        name="Draw credit",
        task="billing.tasks.draw_credit",
        description="Grants what plans allot each period, and draws the credit that is used.",
        every_minutes=10,
    ),
    Entry(
        name="Check the ledger",
        task="billing.tasks.check_the_ledger",
        description="Proves that every transaction, balance, grant and hold adds up.",
        crontab=(("hour", "3"), ("minute", "30")),
    ),
    Entry(
        name="Ask for verification",
        task="billing.tasks.ask_for_verification",
        description="Sends customers a link to the outcomes that wait for their word.",
        every_minutes=60,
    ),
    Entry(
        name="Verify statements",
        task="billing.tasks.verify",
        description="Builds all finalised statements again from their facts and compares.",
        crontab=(("hour", "4"), ("minute", "0"), ("day_of_week", "sunday")),
    ),
    CONTINUE_DRY_RUNS,
    RATE_SPEND,
    EXPIRE_JOBS,
    *SEND_ALERTS_AND_WEBHOOKS,
)
