from recipes.common.verl.router import LeastBusy


def test_requests_go_to_the_server_with_the_fewest():
    router = LeastBusy({"a": 1, "b": 2}, {})
    assert [router.acquire_server(str(number))[0] for number in range(3)] == ["a", "b", "a"]
    router.release_server("a")
    router.release_server("a")
    assert router.acquire_server("3") == ("a", 1)
