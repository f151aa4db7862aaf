from recipes.gad.health import Watch


def watch(steps, mode="adversarial", past=()):
    said = []
    it = Watch(mode, said.append, past)
    for metrics in steps:
        it.see(metrics)
    return said


def accuracy(*values):
    return [{"critic/d_acc": value} for value in values]


def lengths(*values):
    return [{"response_length": value} for value in values]


def test_a_separable_teacher_is_said_once():
    assert watch(accuracy(*[0.99] * 10)) == [
        "d_acc is 0.99: the discriminator separates teacher and student by their format: the reward is not informative"
    ]


def test_four_steps_say_nothing():
    assert watch(accuracy(1, 1, 1, 1)) == []


def test_it_is_said_again_after_it_was_right():
    assert len(watch(accuracy(*[1.0] * 20, *[0.5] * 20, *[1.0] * 20))) == 2


def test_a_restart_does_not_repeat_it():
    assert watch(accuracy(0.99), past=accuracy(*[0.99] * 6)) == []


def test_growing_replies_are_said_in_the_adversarial_stage_alone():
    steps = lengths(*[100] * 5, *[160] * 5)
    assert watch(steps) == ["replies grew from 100 to 160 tokens: the actor may be exploiting the discriminator"]
    assert watch(steps, mode="warmup") == []
    assert watch(lengths(*[100] * 5, *[149] * 5)) == []
