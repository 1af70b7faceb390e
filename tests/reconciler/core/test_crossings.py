"""One thing happens while another is under way."""

from eventstore import events as e
from eventstore.vocabulary import Phase
from tests.reconciler.core.story import MINIMAL, Story, with_versions


def installed(story: Story) -> Story:
    story.install()
    assert story.is_in(Phase.READY)
    return story


def test_a_version_changed_while_installing_is_what_gets_installed() -> None:
    story = Story(with_versions(prometheus="3.13.1"))
    story.carry_out()
    story.carry_out()
    story.edit(with_versions(prometheus="3.13.2"))
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].running_version == "3.13.2"


def test_an_upgrade_edited_on_the_way_ends_at_the_new_target_and_tells_where_it_began() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.edit(with_versions(prometheus="3.14.0"))
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].running_version == "3.14.0"
    (upgraded,) = story.all(e.ComponentUpgraded)
    assert (upgraded.from_version, upgraded.to_version) == ("3.13.1", "3.14.0")
