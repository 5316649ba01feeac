"""What is known of common words: their Chinese, who is a person, where things are, what is said of more and less.

Data and look-ups: a column's or table's English words in lower case go in. What is not listed is not known, and the
English word stays. Knows no schema and no sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from myna.builders.database.words import singular, word_set
from myna.text2sql.chinese_words import CHINESE_PHRASES, WORDS

_PEOPLE = word_set(
    "student pupil teacher professor instructor employee manager staff customer client user member player singer actor "
    "doctor patient nurse driver pilot author coach director candidate artist person people child parent owner guest "
    "host president visitor tourist editor researcher scientist architect gymnast wrestler swimmer individual engineer "
    "participant friend physician resident advisor faculty worker passenger founder investor mechanic performer "
    "musician tenant landlord judge athlete cyclist writer reviewer reader agent applicant volunteer entrepreneur "
    "perpetrator climber technician debater inspector contestant"
)
_PLACES = word_set(
    "city town country state province region district county continent location place building department dept "
    "room campus stadium venue hometown area neighborhood village street"
)
_MEMBERSHIPS = word_set("grade class school college university team club group league division category")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much and how little of a measure is said: English comparative and superlative, Chinese words."""

    more: str
    most: str
    less: str
    least: str
    chinese_most: str
    chinese_least: str
    of_rows: bool = True
    """Whether the row itself is so: a student is tall; of a year, only the year is late."""

    @property
    def reversed(self) -> Scale:
        """The scale of a measure that grows as this falls: birth dates are late for the young."""
        return Scale(self.less, self.least, self.more, self.most, self.chinese_least, self.chinese_most, self.of_rows)


_AGE = Scale("older", "oldest", "younger", "youngest", "年龄最大", "年龄最小")
_TALL = Scale("taller", "tallest", "shorter", "shortest", "最高", "最矮")
_HEAVY = Scale("heavier", "heaviest", "lighter", "lightest", "最重", "最轻")
_DEAR = Scale("more expensive", "most expensive", "cheaper", "cheapest", "最贵", "最便宜")
_FAST = Scale("faster", "fastest", "slower", "slowest", "最快", "最慢")
_LONG = Scale("longer", "longest", "shorter", "shortest", "最长", "最短")
_LARGE = Scale("larger", "largest", "smaller", "smallest", "最大", "最小")
_DEEP = Scale("deeper", "deepest", "shallower", "shallowest", "最深", "最浅")
_SCALES = {
    "age": _AGE,
    "date of birth": _AGE.reversed,
    "birth date": _AGE.reversed,
    "birthday": _AGE.reversed,
    "birth year": _AGE.reversed,
    "year of birth": _AGE.reversed,
    "height": _TALL,
    "weight": _HEAVY,
    "price": _DEAR,
    "cost": _DEAR,
    "unit price": _DEAR,
    "speed": _FAST,
    "maximum speed": _FAST,
    "top speed": _FAST,
    "length": _LONG,
    "duration": _LONG,
    "area": _LARGE,
    "size": _LARGE,
    "depth": _DEEP,
}
_CHINESE_SCALES = {
    "年龄": _AGE,
    "身高": _TALL,
    "体重": _HEAVY,
    "价格": _DEAR,
    "单价": _DEAR,
    "出生日期": _AGE.reversed,
    "生日": _AGE.reversed,
    "速度": _FAST,
    "最高速度": _FAST,
    "长度": _LONG,
    "时长": _LONG,
    "面积": _LARGE,
}

_ENGLISH = {chinese: english for english, chinese in reversed(WORDS.items())} | {"姓名": "name", "名字": "name"}
_LARGEST = re.compile("最([大小])(工资|价格|温度|速度|分数|收入|评分|身高|成本|费用)")
"""What is high and low, not large and small."""
_JOINED_WITHOUT = frozenset(("of", "the", "in"))

_MEASURES = {
    "名": "学生 老师 教授 员工 客户 用户 会员 球员 歌手 演员 医生 病人 护士 司机 飞行员 作者 教练 导演 "
    "候选人 经理 艺术家 医师 工程师 技术员 表演者 参与者 记者 居民 投资人 秘书 评委 选手 登山者 工人 "
    "申请人 选民 教员 讲师 导师 编辑 研究员 科学家 建筑师 体操运动员 摔跤手 游客 运动员 获胜者 乘客",
    "位": "客人 主人 家长 总统 代表 朋友 企业家 作曲家 作者 市长 州长",
    "个": "人 孩子",
    "辆": "卡车 校车 汽车 车辆 车",
    "所": "学校 大学 学院",
    "家": "制造商 机构 代理 车队 公司 商店 酒店 餐厅 银行 分行 医院 供应商 出版社 航空公司 工厂 俱乐部 酒庄",
    "本": "图书 期刊 书",
    "部": "电影 手机",
    "首": "歌曲 曲目",
    "张": "卡 票 优惠券 专辑 发票 照片 订单",
    "场": "演出 婚礼 会议 讲座 研讨会 辩论 风暴 选举 比赛 音乐会 考试 展览",
    "门": "课程 科目 学科",
    "支": "球队 乐队",
    "架": "飞机",
    "艘": "船",
    "座": "教堂 电影院 剧院 城市 体育场 大楼 机场 桥 山 车站 博物馆 图书馆 房子 公园",
    "条": "路线 铁路 记录 推文 新闻 日志 消息 帖子 河流 狗 评论 选课记录",
    "只": "宠物 动物",
    "份": "处方 报告 草稿 副本 协议 证书 表格 对账单 投稿 保险 合同 文档 文件 保单 论文",
    "笔": "交易 贷款 付款",
    "台": "机器 设备 相机 手术 加速器",
    "件": "产品 商品 家具 艺术作品 货件 投诉 物品",
    "间": "房间 教室 办公室",
    "项": "评估 认证 任务 活动 服务 奖项",
    "趟": "航班 行程",
    "种": "语言 酶 药物 过敏 品种 疾病 药品 葡萄酒",
}
_MEASURE_OF = {noun: measure for measure, nouns in _MEASURES.items() for noun in nouns.split()}


def chinese_of(words: tuple[str, ...]) -> str | None:
    """Return the Chinese of English words, None unless all are known: ("school", "name") is 学校名称."""
    if words in CHINESE_PHRASES:
        return CHINESE_PHRASES[words]
    if words[:2] == ("number", "of"):
        counted = chinese_of(words[2:]) if len(words) > 2 else None
        return f"{counted}{'人数' if is_person(words[-1]) else '数量'}" if counted else None
    if len(words) > 2 and words[1] == "of":
        words = (*words[2:], words[0])
    pieces: list[str] = []
    at = 0
    while at < len(words):
        pair, word = words[at : at + 2], words[at].casefold()
        if len(pair) == 2 and pair in CHINESE_PHRASES:
            pieces.append(CHINESE_PHRASES[pair])
            at += 2
        elif word in WORDS or singular(word) in WORDS:
            pieces.append(WORDS.get(word) or WORDS[singular(word)])
            at += 1
        else:
            return None
    if not pieces or _JOINED_WITHOUT & set(words):
        return None
    return _LARGEST.sub(lambda found: f"最{'高' if found[1] == '大' else '低'}{found[2]}", "".join(pieces))


def english_of(chinese: str) -> str | None:
    """Return the English of a Chinese name, None unless all of its words are known: 入职日期 is "hire date"."""
    for words, known in CHINESE_PHRASES.items():
        if known == chinese:
            return " ".join(words)
    if chinese in _ENGLISH:
        return _ENGLISH[chinese]
    for end in range(len(chinese) - 1, 0, -1):
        first, rest = _ENGLISH.get(chinese[:end]), chinese[end:]
        if first and (remaining := english_of(rest)):
            return f"{first} {remaining}"
    return None


def measure_word(noun: str) -> str:
    """Return the measure word of a Chinese noun, 个 where none is known."""
    known = _MEASURE_OF.get(noun)
    return known or next((measure for end, measure in _MEASURE_OF.items() if noun.endswith(end)), "个")


def is_person(noun: str) -> bool:
    """Whether an English singular noun (its last word) is a person."""
    last = noun.casefold().rpartition(" ")[2]
    return last in _PEOPLE or singular(last) in _PEOPLE


def is_place(name: str) -> bool:
    """Whether things are *in* the value of a column of this English name: in Berlin, in room 12."""
    return name.casefold().rpartition(" ")[2] in _PLACES and len(name.split()) == 1


def is_membership(name: str) -> bool:
    """Whether things belong to the value of a column of this English name: a student in grade 9."""
    return name.casefold() in _MEMBERSHIPS


def scale_of(name: str) -> Scale | None:
    """Return the scale of a column by its exact English or Chinese name."""
    return _SCALES.get(name.casefold()) or _CHINESE_SCALES.get(name)
