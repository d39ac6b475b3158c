"""Emoji by the short names that people type between colons (those of the common chat programs)."""

import re
from typing import Final

_TABLE: Final = """
+1=👍 thumbsup=👍 -1=👎 thumbsdown=👎 heart=❤️ broken_heart=💔 smile=😄 smiley=😃 grin=😁
joy=😂 rofl=🤣 slightly_smiling_face=🙂 upside_down_face=🙃 wink=😉 blush=😊 innocent=😇
heart_eyes=😍 kissing_heart=😘 yum=😋 stuck_out_tongue=😛 zany_face=🤪 thinking=🤔
zipper_mouth_face=🤐 raised_eyebrow=🤨 neutral_face=😐 expressionless=😑 smirk=😏
unamused=😒 roll_eyes=🙄 grimacing=😬 relieved=😌 pensive=😔 sleepy=😪 sleeping=😴
mask=😷 sick=🤢 exploding_head=🤯 cowboy=🤠 partying_face=🥳 sunglasses=😎 nerd_face=🤓
confused=😕 worried=😟 frowning=☹️ open_mouth=😮 astonished=😲 flushed=😳
pleading_face=🥺 fearful=😨 cry=😢 sob=😭 scream=😱 confounded=😖 disappointed=😞
weary=😩 tired_face=😫 yawning_face=🥱 angry=😠 rage=😡 skull=💀 poop=💩 clown=🤡 ghost=👻
alien=👽 robot=🤖 wave=👋 raised_hand=✋ ok_hand=👌 v=✌️ crossed_fingers=🤞
point_left=👈 point_right=👉 point_up=👆 point_down=👇 fist=✊ punch=👊 clap=👏
raised_hands=🙌 handshake=🤝 pray=🙏 muscle=💪 eyes=👀 eye=👁️ brain=🧠 shrug=🤷
facepalm=🤦 bow=🙇 runner=🏃 dancer=💃 cat=🐱 dog=🐶 mouse=🐭 fox=🦊 bear=🐻 panda=🐼
monkey=🐒 see_no_evil=🙈 hear_no_evil=🙉 speak_no_evil=🙊 chicken=🐔 penguin=🐧 bird=🐦
frog=🐸 snake=🐍 turtle=🐢 fish=🐟 whale=🐳 bug=🐛 bee=🐝 butterfly=🦋 rose=🌹 sunflower=🌻
tree=🌳 cactus=🌵 four_leaf_clover=🍀 apple=🍎 banana=🍌 lemon=🍋 strawberry=🍓
avocado=🥑 bread=🍞 cheese=🧀 pizza=🍕 hamburger=🍔 fries=🍟 taco=🌮 egg=🥚 cake=🍰
birthday=🎂 cookie=🍪 chocolate=🍫 coffee=☕ tea=🍵 beer=🍺 beers=🍻 wine=🍷 champagne=🍾
soccer=⚽ basketball=🏀 trophy=🏆 medal=🏅 dart=🎯 game=🎮 dice=🎲 music=🎵 guitar=🎸
art=🎨 movie=🎬 car=🚗 bike=🚲 bus=🚌 train=🚆 airplane=✈️ rocket=🚀 ship=🚢 house=🏠
office=🏢 tent=⛺ world=🌍 moon=🌙 sun=☀️ star=⭐ sparkles=✨ zap=⚡ fire=🔥 rainbow=🌈
cloud=☁️ snowflake=❄️ snowman=⛄ umbrella=☔ ocean=🌊 watch=⌚ phone=📱 computer=💻
keyboard=⌨️ printer=🖨️ camera=📷 bulb=💡 flashlight=🔦 book=📖 books=📚 memo=📝
pencil=✏️ paperclip=📎 pushpin=📌 calendar=📅 chart=📈 envelope=✉️ email=📧 package=📦
lock=🔒 unlock=🔓 key=🔑 hammer=🔨 wrench=🔧 gear=⚙️ link=🔗 shield=🛡️ bomb=💣 pill=💊
hourglass=⌛ alarm_clock=⏰ bell=🔔 no_bell=🔕 mega=📣 speech_balloon=💬
thought_balloon=💭 zzz=💤 100=💯 boom=💥 sweat_drops=💦 dash=💨 check=✅ x=❌ warning=⚠️
no_entry=⛔ question=❓ exclamation=❗ recycle=♻️ plus=➕ minus=➖ arrow_up=⬆️
arrow_down=⬇️ arrow_left=⬅️ arrow_right=➡️ red_circle=🔴 green_circle=🟢
blue_circle=🔵 tada=🎉 gift=🎁 balloon=🎈 crown=👑 gem=💎
"""  # noqa: RUF001 - signs that look like others are what this table is for

EMOJI: Final[dict[str, str]] = dict(part.split("=", 1) for part in _TABLE.split())

_CODE: Final = re.compile(r":([a-z0-9_+-]+):")


def with_emoji(text: str) -> str:
    """Return a text with its short names replaced; what is none stays as it was typed."""
    return _CODE.sub(lambda found: EMOJI.get(found[1], found[0]), text)
