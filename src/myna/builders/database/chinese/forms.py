"""The Chinese forms: how sentences open and clauses run, each for training or for testing.

`{v}` is a value, `{c}` a column, `{things}` rows with their conditions before them, `{clauses}` those conditions alone,
`{noun}` the rows' noun, `{m}` its measure word, `{object}` what is asked for, `{group}` what rows are grouped by.
"""

from __future__ import annotations

from myna.builders.database.choice import Forms

IS = {
    "=": Forms(("{c}为{v}", "{c}是{v}", "{c}正好等于{v}"), ("{c}等于{v}",)),
    "<>": Forms(("{c}不是{v}", "{c}不为{v}", "{c}并不等于{v}"), ("{c}不等于{v}",)),
    ">": Forms(("{c}大于{v}", "{c}超过{v}", "{c}高于{v}", "{c}须>{v}", "{c}处在{v}之上"), ("{c}>{v}", "{c}在{v}之上")),
    ">=": Forms(
        ("{c}不低于{v}", "{c}大于等于{v}", "{c}至少为{v}", "{c}并不小于{v}", "{c}不比{v}小", "{c}须达到{v}"),
        ("{c}不小于{v}", "{c}达到{v}"),
    ),
    "<": Forms(("{c}小于{v}", "{c}低于{v}", "{c}不到{v}", "{c}须<{v}", "{c}还不足{v}"), ("{c}<{v}", "{c}不足{v}")),
    "<=": Forms(
        ("{c}不超过{v}", "{c}小于等于{v}", "{c}最多为{v}", "{c}并不大于{v}", "{c}不比{v}大", "{c}须不高于{v}"),
        ("{c}不大于{v}", "{c}不高于{v}"),
    ),
}
TEXT_IS = {
    "=": Forms(("{c}为{v}", "{c}是{v}", "{c}正好等于{v}"), ("{c}等于{v}",)),
    "<>": Forms(("{c}不是{v}", "{c}不为{v}", "{c}并非是{v}"), ("{c}并非{v}",)),
}
DATE_IS = {
    "=": Forms(("{c}为{v}", "{c}是{v}", "{c}是{v}当天"), ("{c}在{v}当天",)),
    "<>": Forms(("{c}不是{v}", "{c}并非是{v}"), ("{c}并非{v}",)),
    ">": Forms(("{c}在{v}之后", "{c}晚于{v}", "{c}比{v}要晚"), ("{c}比{v}晚",)),
    ">=": Forms(("{c}不早于{v}", "{c}是{v}或之后"), ("{c}在{v}或之后",)),
    "<": Forms(("{c}在{v}之前", "{c}早于{v}", "{c}比{v}要早"), ("{c}比{v}早",)),
    "<=": Forms(("{c}不晚于{v}", "{c}是{v}或之前"), ("{c}在{v}或之前",)),
}
YEAR_IS = {
    "=": Forms(("{c}在{v}年", "{c}为{v}年"), ("{c}是在{v}年",)),
    ">": Forms(("{c}在{v}年之后", "{c}晚于{v}年"), ("{c}比{v}年晚",)),
    ">=": Forms(("{c}在{v}年或之后",), ("{c}不早于{v}年",)),
    "<": Forms(("{c}在{v}年之前", "{c}早于{v}年"), ("{c}比{v}年早",)),
    "<=": Forms(("{c}在{v}年或之前",), ("{c}不晚于{v}年",)),
}
MONTH_IS = Forms(("{c}在{v}月", "{c}在{v}月份"), ("{c}是在{v}月份",))
BETWEEN = Forms(
    ("{c}在{low}到{high}之间", "{c}介于{low}和{high}之间", "{c}在{low}至{high}之间", "{c}处于从{low}到{high}的范围"),
    ("{c}从{low}到{high}", "{c}处于{low}至{high}之间"),
)
NAMED = Forms(("名叫{v}", "叫{v}", "名字为{v}"), ("名为{v}",))
MATCHES = {
    "begins": Forms(("{c}以{v}开头", "{c}以{v}开始", "{c}的开头为{v}"), ("{c}的开头是{v}",)),
    "ends": Forms(("{c}以{v}结尾", "{c}以{v}结束", "{c}的结尾为{v}"), ("{c}的结尾是{v}",)),
    "contains": Forms(("{c}包含{v}", "{c}里有{v}", "{c}里含有{v}"), ("{c}中含有{v}",)),
}
MATCHES_NOT = {
    "begins": Forms(("{c}不以{v}开头", "{c}的开头不为{v}"), ("{c}的开头不是{v}",)),
    "ends": Forms(("{c}不以{v}结尾", "{c}的结尾不为{v}"), ("{c}的结尾不是{v}",)),
    "contains": Forms(("{c}不包含{v}", "{c}里没有{v}", "{c}里不含{v}"), ("{c}中不含{v}",)),
}
ONE_OF = Forms(("{c}是{alternatives}", "{c}为{alternatives}", "{c}为{listed}之一"), ("{c}是{listed}之一",))
NONE_OF = Forms(("{c}不是{listed}", "{c}既不是{neither}", "{c}不属于{listed}"), ("{c}不属于{listed}中的任何一个",))
UNKNOWN = Forms(("{c}为空", "没有{c}", "{c}未知", "{c}缺少", "没有填写{c}"), ("缺少{c}", "{c}没有填写"))
KNOWN = Forms(("{c}不为空", "有{c}", "{c}已知", "已填写{c}", "{c}已有记录"), ("{c}已填写", "{c}有记录"))
AVERAGE = {
    ">": Forms(("{c}高于{average}", "{c}超过{average}", "{c}处在{average}之上"), ("{c}在{average}之上",)),
    "<": Forms(
        ("{c}低于{average}", "{c}处在{average}之下", "{c}还不到{average}"), ("{c}在{average}之下", "{c}不到{average}")
    ),
    ">=": Forms(("{c}不低于{average}", "{c}须达到{average}"), ("{c}达到或超过{average}",)),
    "<=": Forms(("{c}不高于{average}", "{c}不超过{average}"), ("{c}没有超过{average}",)),
}
COUNT_IS = {
    "=": Forms(("有{v}{m}{noun}", "恰好有{v}{m}{noun}", "{noun}正好{v}{m}"), ("正好有{v}{m}{noun}",)),
    "<>": Forms(("{noun}数量不等于{v}",), ("{noun}数量不是{v}",)),
    ">": Forms(("有超过{v}{m}{noun}", "{noun}数量大于{v}", "{noun}多于{v}{m}"), ("有多于{v}{m}{noun}",)),
    ">=": Forms(("至少有{v}{m}{noun}", "{noun}数量不少于{v}", "{noun}有{v}{m}或更多"), ("有{v}{m}或更多{noun}",)),
    "<": Forms(("{noun}不到{v}{m}", "{noun}数量少于{v}", "{noun}还不足{v}{m}"), ("{noun}不足{v}{m}",)),
    "<=": Forms(("最多有{v}{m}{noun}", "{noun}数量不超过{v}", "{noun}至多{v}{m}"), ("至多有{v}{m}{noun}",)),
}

# Sentences.
ASK = Forms(
    (
        "{object}是什么？",
        "查询{object}。",
        "列出{object}。",
        "请列出{object}。",
        "显示{object}",
        "给我{object}。",
        "查一下{object}",
        "{object}",
        "请问{object}是什么？",
        "能列出{object}吗？",
    ),
    (
        "告诉我{object}。",
        "我想知道{object}。",
        "帮我找出{object}。",
        "{object}分别是什么？",
        "请返回{object}。",
        "能把{object}列给我看看吗？",
    ),
)
ASK_SORTED = Forms(
    ("查询{object}。", "列出{object}。", "请列出{object}。", "显示{object}", "给我{object}。", "{object}"),
    ("告诉我{object}。", "帮我找出{object}。", "请返回{object}。"),
)
ASK_NUMBER = Forms(
    ("{object}是多少？", "查询{object}。", "请问{object}是多少？", "计算{object}。", "{object}", "求{object}。"),
    ("算一下{object}。", "告诉我{object}。", "{object}到底是多少？", "我想知道{object}是多少。"),
)
ASK_VALUE = Forms(
    ("{object}是多少？", "请问{object}是多少？", "查询{object}。", "查一下{object}", "{object}"),
    ("告诉我{object}。", "我想知道{object}是多少。"),
)
OF_THINGS = Forms(("{things}的{columns}", "所有{things}的{columns}"), ("{things}各自的{columns}",))
OF_EACH = Forms(("每{m}{things}的{columns}", "每一{m}{things}各自的{columns}"), ("每一{m}{things}的{columns}",))
ALL_OF = Forms(
    ("{things}的所有信息", "{things}的全部信息", "{things}的完整资料", "关于{things}的所有记录"),
    ("{things}的完整记录", "关于{things}的一切资料"),
)
DIFFERENT = Forms(
    ("{things}的不同{columns}", "{things}有哪些不同的{columns}", "{things}去重后的{columns}"),
    ("{things}的{columns}（去重）",),
)
HOW_MANY = Forms(
    (
        "有多少{m}{things}？",
        "一共有多少{m}{things}？",
        "{things}有多少{m}？",
        "统计{things}的数量。",
        "{things}的数量是多少？",
        "{things}数量",
    ),
    ("{things}总共多少{m}？", "数一数有多少{m}{things}。", "{things}一共多少{m}？", "请统计有多少{m}{things}。"),
)
HOW_MANY_THERE = Forms(
    ("{place}有多少{m}{noun}？", "{place}一共有多少{m}{noun}？", "统计{place}有多少{m}{noun}。"),
    ("{place}总共有多少{m}{noun}？", "数一数{place}有多少{m}{noun}。"),
)
HOW_MANY_DIFFERENT = Forms(
    ("{things}有多少个不同的{c}？", "{things}的不同{c}有多少个？", "{things}去重后的{c}有几个？"),
    ("{things}的{c}去重后有几个？",),
)
WHICH_SUPERLATIVE = Forms(
    ("哪{n}{m}{things}的{c}{most}？", "{c}{most}的{n}{things}是哪{m}？", "在{things}当中，{c}{most}的是哪{n}{m}？"),
    ("{things}当中，哪{n}{m}的{c}{most}？",),
)
SUPERLATIVE = Forms(
    ("{clauses}{c}{most}的{number}{noun}", "{clauses}{noun}中{c}{most}的{number}{noun}"),
    ("{clauses}所有{noun}中{c}{most}的{number}{noun}",),
)
TOP = Forms(
    ("按{c}从{first}到{last}排前{n}的{things}", "按{c}从{first}到{last}排名在前{n}的{things}"),
    ("{c}从{first}到{last}排名前{n}的{things}",),
)
SORTED = Forms(
    (
        "，按{c}{direction}排列",
        "，按{c}从{first}到{last}排序",
        "，并按{c}{direction}排序",
        "，依{c}{direction}排好",
        "，{c}{first}的排在前",
    ),
    ("，依{c}从{first}到{last}列出", "，{c}{first}的排在前面"),
)
SORTED_TEXT = Forms(
    ("，按{c}{direction}排列", "，并按{c}{direction}排序", "，依{c}{direction}排列"), ("，依{c}{direction}列出",)
)
THEN = Forms(("，先按{c}{direction}、再按{d}{other}排列",), ("，依次按{c}（{direction}）和{d}（{other}）排序",))
FOR_EACH = Forms(
    (
        "每{m}{group}的{quantity}是多少？",
        "按{group}统计{quantity}。",
        "列出每{m}{group}的{quantity}。",
        "各{group}的{quantity}",
        "查询每{m}{group}的{quantity}。",
        "按{group}分组，给出{quantity}。",
        "不同的{group}，{quantity}分别是多少？",
    ),
    ("以{group}分组，{quantity}分别是多少？", "按{group}分别给出{quantity}。", "不同{group}的{quantity}各是多少？"),
)
HOW_MANY_EACH = Forms(
    (
        "每{gm}{group}有多少{m}{things}？",
        "每{gm}{group}各有多少{m}{things}？",
        "统计每{gm}{group}的{things}数量。",
        "以{group}为单位统计{things}数量。",
        "数一数每{gm}{group}有多少{m}{things}。",
    ),
    ("各{group}分别有多少{m}{things}？", "以{group}为单位，数一数{things}有多少{m}。"),
)
WHICH_GROUPS = Forms(
    ("哪些{group}{having}？", "列出{having}的{group}。", "{having}的{group}有哪些？", "找出{having}的所有{group}。"),
    ("找出所有{having}的{group}。", "都有哪些{group}{having}？"),
)
WHICH_GROUP_MOST = Forms(
    ("哪{m}{group}的{quantity}{most}？", "{quantity}{most}的{group}是哪{m}？", "找出{quantity}{most}的{group}。"),
    ("告诉我哪{m}{group}的{quantity}{most}。",),
)
WHICH_GROUPS_MOST = Forms(
    ("哪{n}{m}{group}的{quantity}{most}？", "列出{quantity}{most}的{n}{m}{group}。"),
    ("告诉我{quantity}{most}的{n}{m}{group}是哪些。",),
)
AND_QUANTITY = Forms(
    ("{sentence}同时给出{quantity}。", "{sentence}并显示{quantity}。"), ("{sentence}还要列出{quantity}。",)
)
CONSIDERING = Forms(
    ("只考虑{things}，{sentence}", "对于{things}，{sentence}", "仅对{things}而言，{sentence}"),
    ("仅就{things}而言，{sentence}",),
)
EXCEPT = Forms(
    ("{object}，但不包括{others}", "{object}，去掉{others}", "{object}，但排除{others}"), ("{object}，排除{others}",)
)
EXCEPT_OTHER = Forms(
    ("{object}，但不包括{other}", "没有出现在{other}中的{object}", "{object}，但排除{other}"),
    ("{object}，排除{other}",),
)
INTERSECT = Forms(
    ("{things}和{others}共有的{columns}", "{things}与{others}都有的{columns}", "{things}和{others}相同的{columns}"),
    ("{things}与{others}相同的{columns}",),
)
UNION = Forms(
    ("{object}，以及{others}的{columns}", "{object}，加上{others}的{columns}", "{object}，还有{others}的{columns}"),
    ("{object}，连同{others}的{columns}",),
)
HINT = Forms(
    ("{name}的值是{value}。", "{name}即{c}为{value}。", "{name}的值用{value}表示。"), ("{name}用{value}表示。",)
)
