"""What is known of common words: their Chinese, who is a person, where things are, what is said of more and less.

Data and look-ups: a column's or table's English words in lower case go in. What is not listed is not known, and the
English word stays. Knows no schema and no sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from myna.builders.database.words import word_set

_CHINESE = """
id=ID number=编号 name=名称 title=标题 code=代码 type=类型 category=类别 kind=种类 status=状态 description=描述
details=详情 note=备注 notes=备注 comment=评论 date=日期 time=时间 year=年份 month=月份 day=日 week=周 hour=小时
age=年龄 gender=性别 sex=性别 height=身高 weight=体重 grade=年级 class=班级 school=学校 score=分数 points=积分
gpa=绩点 major=专业 birthday=生日 birth=出生 nationality=国籍 phone=电话 telephone=电话 mobile=手机 email=邮箱
fax=传真 address=地址 street=街道 city=城市 town=城镇 district=区 county=县 state=州 province=省份 country=国家
region=地区 continent=洲 location=位置 place=地点 venue=场馆 building=大楼 room=房间 floor=楼层 capacity=容量
postcode=邮编 zip=邮编 price=价格 cost=成本 amount=金额 total=总 quantity=数量 count=数量 budget=预算
salary=工资 wage=工资 income=收入 revenue=营收 profit=利润 sales=销售额 tax=税 discount=折扣 balance=余额
payment=付款 currency=货币 fee=费用 rate=比率 percentage=百分比 ratio=比例 average=平均 maximum=最大
minimum=最小 speed=速度 length=长度 width=宽度 depth=深度 size=大小 area=面积 volume=体积 duration=时长
distance=距离 temperature=温度 population=人口 latitude=纬度 longitude=经度 elevation=海拔 rank=排名
ranking=排名 rating=评分 level=级别 position=职位 role=角色 job=工作 department=部门 company=公司
employee=员工 manager=经理 staff=员工 customer=客户 client=客户 user=用户 member=会员 student=学生 teacher=老师
professor=教授 course=课程 subject=科目 exam=考试 book=图书 author=作者 publisher=出版社 language=语言
genre=流派 song=歌曲 album=专辑 artist=艺术家 singer=歌手 band=乐队 movie=电影 film=电影 actor=演员
director=导演 team=球队 player=球员 coach=教练 club=俱乐部 match=比赛 game=比赛 season=赛季 league=联赛
event=活动 stadium=体育场 concert=音乐会 product=产品 item=商品 order=订单 invoice=发票 supplier=供应商
store=商店 shop=商店 brand=品牌 model=型号 color=颜色 car=汽车 vehicle=车辆 driver=司机 train=火车 station=车站
airport=机场 airline=航空公司 flight=航班 aircraft=飞机 pilot=飞行员 ship=船 bridge=桥 hotel=酒店
restaurant=餐厅 hospital=医院 doctor=医生 patient=病人 nurse=护士 disease=疾病 medicine=药品 account=账户
transaction=交易 loan=贷款 bank=银行 branch=分行 document=文档 file=文件 project=项目 task=任务 contract=合同
policy=保单 claim=理赔 person=人 people=人 child=孩子 parent=家长 family=家庭 dog=狗 pet=宠物 animal=动物
owner=主人 house=房子 apartment=公寓 dorm=宿舍 university=大学 college=学院 campus=校区 library=图书馆
enrollment=注册人数 registration=注册 attendance=出勤 race=比赛 result=结果 winner=获胜者 vote=投票
candidate=候选人 party=政党 election=选举 president=总统 river=河流 mountain=山 lake=湖 start=开始 end=结束
open=开业 opening=开业 created=创建 updated=更新 first=名 last=姓 full=全 home=家 work=工作 hire=入职
release=发行 publication=出版 delivery=送货 shipping=发货 founded=成立 established=成立
founder=创始人 password=密码 username=用户名 login=登录名 url=网址 website=网站 image=图片 active=启用 value=值
unit=单位 stock=库存 industry=行业 headquarters=总部 market=市场 assets=资产 share=份额 factory=工厂
machine=机器 device=设备 sensor=传感器 engine=发动机 power=功率 horsepower=马力 passengers=乘客数
degree=学位 experience=经验 skill=技能 advisor=导师 faculty=教员 instructor=讲师 theme=主题 exhibition=展览
museum=博物馆 visitor=游客 visit=访问 park=公园 festival=节日 award=奖项 instrument=乐器 track=曲目 channel=频道
program=节目 wine=葡萄酒 grape=葡萄品种 winery=酒庄 appellation=产区 breed=品种 treatment=治疗 farm=农场
gymnast=体操运动员 wrestler=摔跤手 host=主人 guest=客人 booking=预订 reservation=预订 journal=期刊 editor=编辑
paper=论文 conference=会议 researcher=研究员 scientist=科学家 architect=建筑师 mill=磨坊 photo=照片 camera=相机
lens=镜头 chip=芯片 software=软件 browser=浏览器 platform=平台 version=版本 tourist=游客
attraction=景点 feature=特征 service=服务 group=组 nation=国家 origin=产地 destination=目的地 source=来源
entry=条目 reason=原因 method=方式 answer=答案 question=问题 opponent=对手 goals=进球数 wins=胜场
losses=负场 votes=票数 seats=座位数 beds=床位数 stars=星级 calories=热量 percent=百分比
pages=页数
"""

_CHINESE_PHRASES = {
    ("first", "name"): "名字",
    ("last", "name"): "姓氏",
    ("full", "name"): "全名",
    ("middle", "name"): "中间名",
    ("family", "name"): "姓氏",
    ("phone", "number"): "电话号码",
    ("telephone", "number"): "电话号码",
    ("mobile", "number"): "手机号码",
    ("zip", "code"): "邮政编码",
    ("postal", "code"): "邮政编码",
    ("date", "of", "birth"): "出生日期",
    ("birth", "date"): "出生日期",
    ("birth", "year"): "出生年份",
    ("birth", "place"): "出生地",
    ("home", "town"): "家乡",
    ("hometown",): "家乡",
    ("maximum", "speed"): "最高速度",
    ("top", "speed"): "最高速度",
    ("number", "of", "seats"): "座位数",
    ("number", "of", "pages"): "页数",
    ("total", "price"): "总价",
    ("total", "amount"): "总金额",
    ("total", "points"): "总积分",
    ("unit", "price"): "单价",
    ("total",): "总额",
    ("market", "value"): "市值",
    ("order", "item"): "订单明细",
    ("course", "title"): "课程名称",
    ("first", "class"): "头等",
    ("start", "time"): "开始时间",
    ("end", "time"): "结束时间",
    ("home", "team"): "主队",
    ("away", "team"): "客队",
    ("home", "city"): "家乡城市",
}

_MEASURES = {
    "名": "学生 老师 教授 员工 客户 用户 会员 球员 歌手 演员 医生 病人 护士 司机 飞行员 作者 教练 导演 候选人 经理 "
    "艺术家 教员 讲师 导师 编辑 研究员 科学家 建筑师 体操运动员 摔跤手 游客 运动员 获胜者 乘客",
    "位": "客人 主人 家长 总统",
    "个": "人 孩子",
    "辆": "汽车 车辆 车",
    "所": "学校 大学 学院",
    "家": "公司 商店 酒店 餐厅 银行 分行 医院 供应商 出版社 航空公司 工厂 俱乐部 酒庄",
    "本": "图书 期刊 书",
    "部": "电影 手机",
    "首": "歌曲 曲目",
    "张": "专辑 发票 照片 订单",
    "场": "比赛 音乐会 考试 展览",
    "门": "课程 科目",
    "支": "球队 乐队",
    "架": "飞机",
    "艘": "船",
    "座": "城市 体育场 大楼 机场 桥 山 车站 博物馆 图书馆 房子 公园",
    "条": "河流 狗 评论 选课记录",
    "只": "宠物 动物",
    "份": "合同 文档 文件 保单 论文",
    "笔": "交易 贷款 付款",
    "台": "机器 设备 相机",
    "件": "产品 商品",
    "间": "房间",
    "项": "任务 活动 服务 奖项",
    "趟": "航班",
    "种": "品种 疾病 药品 葡萄酒",
}
_MEASURE_OF = {noun: measure for measure, nouns in _MEASURES.items() for noun in nouns.split()}

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

_WORDS = dict(pair.split("=") for pair in _CHINESE.split())
_ENGLISH = {chinese: english for english, chinese in reversed(_WORDS.items())} | {"姓名": "name", "名字": "name"}
_LARGEST = re.compile("最([大小])(工资|价格|温度|速度|分数|收入|评分|身高|成本|费用)")
"""What is high and low, not large and small."""
_JOINED_WITHOUT = frozenset(("of", "the", "in"))


def chinese_of(words: tuple[str, ...]) -> str | None:
    """Return the Chinese of English words, None unless all are known: ("school", "name") is 学校名称."""
    if words in _CHINESE_PHRASES:
        return _CHINESE_PHRASES[words]
    if words[:2] == ("number", "of"):
        counted = chinese_of(words[2:]) if len(words) > 2 else None
        return f"{counted}{'人数' if is_person(words[-1]) else '数量'}" if counted else None
    if len(words) > 2 and words[1] == "of":
        words = (*words[2:], words[0])
    pieces: list[str] = []
    at = 0
    while at < len(words):
        pair, word = words[at : at + 2], words[at].casefold()
        if len(pair) == 2 and pair in _CHINESE_PHRASES:
            pieces.append(_CHINESE_PHRASES[pair])
            at += 2
        elif word in _WORDS or _singular(word) in _WORDS:
            pieces.append(_WORDS.get(word) or _WORDS[_singular(word)])
            at += 1
        else:
            return None
    if not pieces or _JOINED_WITHOUT & set(words):
        return None
    return _LARGEST.sub(lambda found: f"最{'高' if found[1] == '大' else '低'}{found[2]}", "".join(pieces))


def chinese_noun(words: tuple[str, ...]) -> str | None:
    """Return the Chinese of a table's rows, where that is not the column's word: each enrollment is a record."""
    return "选课记录" if words == ("enrollment",) else chinese_of(words)


def english_of(chinese: str) -> str | None:
    """Return the English of a Chinese name, None unless all of its words are known: 入职日期 is "hire date"."""
    for words, known in _CHINESE_PHRASES.items():
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
    return last in _PEOPLE or _singular(last) in _PEOPLE


def is_place(name: str) -> bool:
    """Whether things are *in* the value of a column of this English name: in Berlin, in room 12."""
    return name.casefold().rpartition(" ")[2] in _PLACES and len(name.split()) == 1


def is_membership(name: str) -> bool:
    """Whether things belong to the value of a column of this English name: a student in grade 9."""
    return name.casefold() in _MEMBERSHIPS


def scale_of(name: str) -> Scale | None:
    """Return the scale of a column by its exact English or Chinese name."""
    return _SCALES.get(name.casefold()) or _CHINESE_SCALES.get(name)


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") else word
