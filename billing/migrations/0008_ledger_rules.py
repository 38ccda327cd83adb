"""What the database holds of the ledger: it only grows, and every transaction sums to zero."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The ledger only grows: post a correction that names what it corrects.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_entry_stays BEFORE UPDATE OR DELETE ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_only_grows();
CREATE TRIGGER billing_transaction_stays BEFORE UPDATE OR DELETE ON billing_ledgertransaction
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_only_grows();

-- Entries come with their transaction: never later, and never on another customer's account.
-- Balances follow in the same statement.
CREATE FUNCTION billing_entries_fit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added e
               JOIN billing_ledgertransaction t ON t.id = e.transaction_id
               JOIN billing_ledgeraccount a ON a.id = e.account_id
               WHERE t.recorded_at <> transaction_timestamp() OR a.customer_id <> t.customer_id)
    THEN
        RAISE EXCEPTION 'An entry belongs to a transaction that is being recorded, of its customer.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE billing_ledgeraccount a SET balance = a.balance + moved.amount
    FROM (SELECT account_id, sum(amount) AS amount FROM added GROUP BY account_id) AS moved
    WHERE a.id = moved.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_entries_fit AFTER INSERT ON billing_ledgerentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_entries_fit();

CREATE FUNCTION billing_account_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'An account follows its entries: its balance is not written by hand.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_account_follows BEFORE UPDATE ON billing_ledgeraccount
    FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION billing_account_follows();
CREATE FUNCTION billing_account_begins_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'An account begins empty.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_account_begins_empty BEFORE INSERT ON billing_ledgeraccount
    FOR EACH ROW WHEN (NEW.balance <> 0) EXECUTE FUNCTION billing_account_begins_empty();

-- At commit: every transaction sums to zero in each of its units.
CREATE FUNCTION billing_transaction_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE off record;
BEGIN
    SELECT a.unit_id, sum(e.amount) AS amount INTO off
    FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
    WHERE e.transaction_id = NEW.transaction_id
    GROUP BY a.unit_id HAVING sum(e.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'A ledger transaction is out of balance by % %.',
            trim_scale(off.amount), off.unit_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_transaction_balances AFTER INSERT ON billing_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_transaction_balances();
"""

REVERSE = """
DROP TRIGGER billing_transaction_balances ON billing_ledgerentry;
DROP TRIGGER billing_account_begins_empty ON billing_ledgeraccount;
DROP TRIGGER billing_account_follows ON billing_ledgeraccount;
DROP TRIGGER billing_entries_fit ON billing_ledgerentry;
DROP TRIGGER billing_transaction_stays ON billing_ledgertransaction;
DROP TRIGGER billing_entry_stays ON billing_ledgerentry;
DROP FUNCTION billing_transaction_balances, billing_account_begins_empty, billing_account_follows,
    billing_entries_fit, billing_ledger_only_grows;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_ledger")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
