from django.db import connection

from config.celery import app
from tests.fixtures.broker import wait_for


def test_a_real_worker_takes_a_message_on_the_test_database(celery_worker_process, clean_broker):
    celery_worker_process()

    app.send_task("celery.ping_that_nobody_knows")

    wait_for(lambda: clean_broker.llen("celery") == 0)


def test_the_test_database_is_not_the_demos(transactional_db):
    assert connection.settings_dict["NAME"].startswith("test_tollgate")
