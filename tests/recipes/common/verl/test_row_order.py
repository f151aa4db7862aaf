from collections import Counter

from recipes.common.verl.row_order import rows_of_step


def test_an_epoch_has_each_row_once():
    seen = Counter(row for step in range(1, 6) for row in rows_of_step(step, batch=4, rows=10, seed=0))
    assert seen == Counter(dict.fromkeys(range(10), 2))


def test_a_step_depends_on_nothing_but_its_number_and_the_seed():
    assert rows_of_step(7, 4, 10, 0) == rows_of_step(7, 4, 10, 0)
    assert rows_of_step(7, 4, 10, 0) != rows_of_step(7, 4, 10, 1)


def test_each_epoch_has_another_order():
    assert rows_of_step(1, 10, 10, 0) != rows_of_step(2, 10, 10, 0)


def test_a_batch_may_hold_several_epochs():
    assert Counter(rows_of_step(1, 6, 2, 0)) == Counter({0: 3, 1: 3})
