"""Create, read, replace and patch."""

from tests.contract.server import Object, Server


def config_map(name: str = "c1", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {"a": "1"}}


def test_creating_twice_is_already_exists(server: Server) -> None:
    server.create(config_map()).ok()
    assert server.create(config_map()).refusal() == (409, "AlreadyExists", 'configmaps "c1" already exists')
    assert "c1" in server.kubectl.ok("get", "configmaps")
