"""Post the statements that were finalised before there was a ledger."""

from django.db import migrations

from plans.rating.money import CURRENCIES, minor_units

_DECIMALS = ", ".join(f"('{code}', {minor_units(code)})" for code in sorted(CURRENCIES))

FORWARD = """
INSERT INTO billing_unitofaccount (code, name, kind, decimals)
SELECT DISTINCT s.currency, s.currency, 'currency', c.decimals
FROM billing_statement s JOIN (VALUES {currencies}) AS c(code, decimals) ON c.code = s.currency
WHERE s.status = 'finalised' AND s.total <> 0
ON CONFLICT DO NOTHING;

INSERT INTO billing_ledgeraccount (customer_id, kind, unit_id, balance)
SELECT DISTINCT s.customer_id, k.kind, s.currency, 0
FROM billing_statement s, (VALUES ('receivable'), ('revenue')) AS k(kind)
WHERE s.status = 'finalised' AND s.total <> 0
ON CONFLICT DO NOTHING;

WITH posted AS (
    INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, statement_id,
        happened_at)
    SELECT customer_id, 'statement:' || number, 'statement', '', id, finalised_at
    FROM billing_statement WHERE status = 'finalised' AND total <> 0
    ORDER BY finalised_at, id
    ON CONFLICT DO NOTHING RETURNING id, statement_id)
INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
SELECT p.id, a.id, CASE a.kind WHEN 'receivable' THEN s.total ELSE -s.total END
FROM posted p
JOIN billing_statement s ON s.id = p.statement_id
JOIN billing_ledgeraccount a ON a.customer_id = s.customer_id AND a.unit_id = s.currency
     AND a.kind IN ('receivable', 'revenue');
""".replace("{currencies}", _DECIMALS)


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_ledger_rules")]

    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
