"""The planning table: the seed's own numbers, and what is said when nobody has measured."""

import pytest

from recipes.profile_dpo.preflight.forecast import Round, Tokens, dollars, table

SEED = Round(preferences=2000, candidates=16)
TOKENS, PRICE = Tokens(3000, 300), Tokens(5, 15)

SETTINGS = {
    "setup": {"preferences": 2000, "candidates": 16},
    "generate": {},
    "tournament": {"orders": 1, "judge": "endpoint", "price_in": 5.0, "price_out": 15.0},
    "dpo": {"batch": 2, "accumulate": 4, "epochs": 3.0},
}
MEASURED = [
    {
        "run": "night",
        "recipe": "profile_dpo-phi3-mini",
        "where": "slurm, A100",
        "stage": stage,
        "settings": settings,
        "metrics": metrics,
    }
    for stage, settings, metrics in [
        (
            "tournament",
            {"judge": "endpoint"},
            {"tokens_in_a_reply": 3000.0, "tokens_out_a_reply": 300.0, "seconds_a_reply": 6.0},
        ),
        ("generate", {}, {"seconds_an_author": 80.0, "candidates": 8.0}),
        ("dpo", {}, {"seconds_a_step": 58.0}),
    ]
]


def test_the_seeds_tournaments_and_comparisons():
    assert (SEED.tournaments, SEED.comparisons) == (63, 945)
    assert Round(2000, 8).tournaments == 167
    assert Round(2000, 8).comparisons == 1169


@pytest.mark.parametrize(("batched", "cost"), [(0, "18.43"), (1, "13.51"), (2, "11.06")])
def test_the_seeds_cost_with_rounds_batched_at_half_the_price(batched, cost):
    assert f"{dollars(SEED, TOKENS, PRICE, batched):.2f}" == cost


def test_the_seeds_tokens():
    assert (SEED.calls * TOKENS.asked, SEED.calls * TOKENS.answered) == (2_835_000, 283_500)


def test_both_orders_ask_twice():
    both = Round(2000, 16, orders=2)
    assert (both.comparisons, both.calls) == (945, 1890)
    assert dollars(both, TOKENS, PRICE) == 2 * dollars(SEED, TOKENS, PRICE)


def test_the_table_from_what_a_run_measured():
    assert table(SETTINGS, MEASURED) == [
        "tournament   16 profiles, 15 comparisons, 32 preferences",
        "round        63 tournaments for 2,000 preferences",
        "judge        945 comparisons: 945 questions",
        "tokens       2,835,000 in, 283,500 out",
        "API cost     $18.43 with 0 rounds batched",
        "             $13.51 with 1 rounds batched, 1 day longer at most",
        "             $11.06 with 2 rounds batched, 2 days longer at most",
        "generation   2.8 hours at 160 s an author",
        "judging      1.6 hours at 6 s a reply",
        "training     750 steps, 12 hours at 58 s a step",
        "measured by  night (profile_dpo-phi3-mini, slurm, A100)",
    ]


def test_what_nobody_measured_is_unknown():
    local = {**SETTINGS, "tournament": {**SETTINGS["tournament"], "judge": "local", "orders": 2}}
    assert table(local, []) == [
        "tournament   16 profiles, 15 comparisons, 32 preferences",
        "round        63 tournaments for 2,000 preferences",
        "judge        945 comparisons in both orders: 1,890 questions",
        "tokens       unknown",
        "API cost     none: the judge is `local`",
        "generation   unknown: nobody has measured how long it takes",
        "judging      unknown: nobody has measured how long it takes",
        "training     750 steps, unknown: nobody has measured how long it takes",
        "measured by  no run yet: `launcher rehearse` measures a tiny model's",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"price_in": None}, "unknown: `price_in` and `price_out` are not set"),
        ({}, "unknown: no tokens were counted yet"),
    ],
)
def test_a_bill_needs_prices_and_tokens(change, says):
    changed = {**SETTINGS, "tournament": {**SETTINGS["tournament"], **change}}
    assert f"API cost     {says}" in table(changed, MEASURED if change else [])


def test_another_kind_of_judge_is_no_measure():
    lines = table({**SETTINGS, "tournament": {**SETTINGS["tournament"], "judge": "local"}}, MEASURED)
    assert "tokens       unknown" in lines and "judging      unknown: nobody has measured how long it takes" in lines


def test_numbers_of_players_that_are_no_power_of_two_are_means():
    changed = {**SETTINGS, "setup": {"preferences": 100, "candidates": 6}}
    assert table(changed, [])[0] == "tournament   6 profiles, 5 comparisons, 8.0 preferences on average"


def test_short_times_are_said_in_minutes_and_seconds():
    for seconds, said in {0.6: "9 minutes at 0.6 s", 0.06: "56.7 seconds at 0.06 s"}.items():
        quick = [{**MEASURED[0], "metrics": {"seconds_a_reply": seconds}}]
        assert f"judging      {said} a reply" in table(SETTINGS, quick)


def test_a_list_without_tournament_has_no_table():
    assert table({"setup": SETTINGS["setup"]}, []) == []
