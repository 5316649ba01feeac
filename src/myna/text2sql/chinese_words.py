"""Chinese for the words that schemas are made of: of columns, tables and what stands in them.

What is not listed is not known: the English word stays. Knows no schema and no sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_WORDS = """
id=ID number=编号 name=名称 title=标题 code=代码 type=类型 category=类别 kind=种类 status=状态 description=描述
details=详情 note=备注 notes=备注 comment=评论 date=日期 time=时间 year=年份 month=月份 day=日 week=周 hour=小时
age=年龄 gender=性别 sex=性别 height=身高 weight=体重 grade=年级 class=班级 school=学校 score=分数 points=积分
gpa=绩点 major=专业 birthday=生日 birth=出生 nationality=国籍 phone=电话 telephone=电话 mobile=手机 email=邮箱
fax=传真 address=地址 street=街道 city=城市 town=城镇 district=区 county=县 state=州 province=省份 country=国家
region=地区 continent=洲 location=位置 place=地点 venue=场馆 building=大楼 room=房间 floor=楼层 capacity=容量
postcode=邮编 zip=邮编 price=价格 cost=成本 amount=金额 total=总 quantity=数量 count=数量 budget=预算 salary=工资
wage=工资 income=收入 revenue=营收 profit=利润 sales=销售额 tax=税 discount=折扣 balance=余额 payment=付款
currency=货币 fee=费用 rate=比率 percentage=百分比 ratio=比例 average=平均 maximum=最大 minimum=最小 speed=速度
length=长度 width=宽度 depth=深度 size=大小 area=面积 volume=体积 duration=时长 distance=距离 temperature=温度
population=人口 latitude=纬度 longitude=经度 elevation=海拔 rank=排名 ranking=排名 rating=评分 level=级别
position=职位 role=角色 job=工作 department=部门 company=公司 employee=员工 manager=经理 staff=员工 customer=客户
client=客户 user=用户 member=会员 student=学生 teacher=老师 professor=教授 course=课程 subject=科目 exam=考试
book=图书 author=作者 publisher=出版社 language=语言 genre=流派 song=歌曲 album=专辑 artist=艺术家 singer=歌手
band=乐队 movie=电影 film=电影 actor=演员 director=导演 team=球队 player=球员 coach=教练 club=俱乐部 match=比赛
game=比赛 season=赛季 league=联赛 event=活动 stadium=体育场 concert=音乐会 product=产品 item=商品 order=订单
invoice=发票 supplier=供应商 store=商店 shop=商店 brand=品牌 model=型号 color=颜色 car=汽车 vehicle=车辆 driver=司机
train=火车 station=车站 airport=机场 airline=航空公司 flight=航班 aircraft=飞机 pilot=飞行员 ship=船 bridge=桥
hotel=酒店 restaurant=餐厅 hospital=医院 doctor=医生 patient=病人 nurse=护士 disease=疾病 medicine=药品 account=账户
transaction=交易 loan=贷款 bank=银行 branch=分行 document=文档 file=文件 project=项目 task=任务 contract=合同
policy=保单 claim=理赔 person=人 people=人 child=孩子 parent=家长 family=家庭 dog=狗 pet=宠物 animal=动物 owner=主人
house=房子 apartment=公寓 dorm=宿舍 university=大学 college=学院 campus=校区 library=图书馆 enrollment=注册
registration=注册 attendance=出勤 race=比赛 result=结果 winner=获胜者 vote=投票 candidate=候选人 party=政党
election=选举 president=总统 river=河流 mountain=山 lake=湖 start=开始 end=结束 open=开业 opening=开业 created=创建
updated=更新 full=全 home=家 work=工作 hire=入职 release=发行 publication=出版 delivery=送货 shipping=发货
founded=成立 established=成立 founder=创始人 password=密码 username=用户名 login=登录名 url=网址 website=网站
image=图片 active=启用 value=值 unit=单位 stock=库存 industry=行业 headquarters=总部 market=市场 assets=资产
share=份额 factory=工厂 machine=机器 device=设备 sensor=传感器 engine=发动机 power=功率 horsepower=马力
passengers=乘客数 degree=学位 experience=经验 skill=技能 advisor=导师 faculty=教员 instructor=讲师 theme=主题
exhibition=展览 museum=博物馆 visitor=游客 visit=访问 park=公园 festival=节日 award=奖项 instrument=乐器 track=曲目
channel=频道 program=节目 wine=葡萄酒 grape=葡萄品种 winery=酒庄 appellation=产区 breed=品种 treatment=治疗 farm=农场
gymnast=体操运动员 wrestler=摔跤手 host=主办方 guest=客人 booking=预订 reservation=预订 journal=期刊 editor=编辑
paper=论文 conference=会议 researcher=研究员 scientist=科学家 architect=建筑师 mill=磨坊 photo=照片 camera=相机
lens=镜头 chip=芯片 software=软件 browser=浏览器 platform=平台 version=版本 tourist=游客 attraction=景点 feature=特征
service=服务 group=组 nation=国家 origin=产地 destination=目的地 source=来源 entry=条目 reason=原因 method=方式
answer=答案 question=问题 opponent=对手 goals=进球数 wins=胜场 losses=负场 votes=票数 seats=座位数 beds=床位数
stars=星级 calories=热量 percent=百分比 pages=页数 other=其他 line=行 text=文本 competition=比赛 physician=医师
outcome=结果 actual=实际 workshop=研讨会 working=工作 rental=租借 record=记录 property=房产 part=零件
organization=组织 organisation=组织 fault=故障 constructor=车队 card=卡 available=可用 asset=资产 thing=物品
settlement=赔付 resident=居民 regular=定期 problem=问题 performance=演出 office=办公室 media=媒体 manufacturer=制造商
log=日志 investor=投资人 draft=草稿 council=委员会 contact=联系人 catalog=目录 support=支持 structure=结构 stage=阶段
series=系列 semester=学期 route=路线 round=轮次 representative=代表 range=范围 railway=铁路 purchase=购买记录
production=制作 primary=主要 playlist=播放列表 planned=计划 nickname=昵称 membership=会员资格 marketing=营销
maintenance=维护 main=主要 launch=发射 lap=圈速 incident=事件 history=历史 high=最高 head=负责人 gross=总
engineer=工程师 detention=留堂 closed=关闭 classroom=教室 charge=收费 characteristic=特征 block=区块 wind=风速
weather=天气 view=视图 truck=卡车 technician=技术员 system=系统 swimmer=游泳运动员 summary=摘要 submission=投稿
storm=风暴 statement=对账单 star=星级 standing=积分榜 slot=时段 silver=银牌 gold=金牌 bronze=铜牌 shipment=货件
sequence=序列 screen=屏幕 road=道路 research=研究 report=报告 repair=维修 register=登记册 procedure=程序
processing=处理 previous=先前 next=下一个 precipitation=降水量 postal=邮政 personal=个人 performer=表演者 payable=应付
participant=参与者 outstanding=未结 original=原始 official=官方 musical=音乐剧 mode=模式 minute=分钟 second=秒
medication=药物 male=男性 female=女性 low=最低 latest=最新 label=标签 journalist=记者 inventory=库存 institution=机构
initial=初始 individual=个人 hardware=硬件 grant=拨款 furniture=家具 form=表格 financial=财务 finance=财务
fastest=最快 extension=分机 equity=股权 enzyme=酶 effective=生效 division=分部 debate=辩论 data=数据 credits=学分
credit=信用 coupon=优惠券 copy=副本 composer=作曲家 completion=完成 committee=委员会 circuit=赛道 cinema=电影院
church=教堂 chain=连锁 carrier=运营商 builder=建造商 broadcast=播出 billing=账单 audience=观众 attribute=属性
assessment=评估 artwork=艺术作品 arrival=到达 departure=出发 appointment=预约 amenity=设施 facility=设施 allergy=过敏
agent=代理人 affiliation=所属单位 accelerator=加速器 writer=编剧 winning=获胜 white=白色 wheel=轮子 weekly=每周
wedding=婚礼 vocals=声乐 video=视频 test=考试 target=目标 tutor=导师 tryout=选拔 trip=行程 transfer=转会 trade=贸易
ticket=票 third=第三 temporary=临时 surname=姓氏 subscription=订阅 studio=工作室 story=故事 stop=站点 sport=运动
sponsor=赞助商 special=特殊 small=小 show=节目 sheep=羊 senator=参议员 seat=座位 secretary=秘书 scholarship=奖学金
schedule=日程 savings=储蓄 safety=安全 ring=戒指 revision=修订 reviewer=评论者 review=评论 return=退货 response=回复
resolution=分辨率 residence=住所 registered=注册 relationship=关系 refund=退款 recommendation=建议 receipt=收据
quality=质量 qualification=资格 public=公共 protein=蛋白质 professional=专业人员 private=私人 preference=偏好
practice=训练 post=帖子 pit=进站 phase=阶段 permanent=永久 pattern=模式 partner=合作伙伴 overall=总体 operation=操作
online=在线 object=对象 nomination=提名 network=网络 news=新闻 monthly=每月 mission=任务 memory=内存 mechanic=机械师
meeting=会议 measure=指标 mayor=市长 mark=分数 lesson=课时 lender=出借人 leader=领导 landlord=房东 killed=死亡人数
injured=受伤人数 kids=儿童 judge=评委 injury=伤病 insurance=保险 interaction=相互作用 interest=利息 holiday=假期
headquarter=总部 ground=场地 government=政府 friend=朋友 fine=罚款 final=最终 fielding=防守 feedback=反馈 farmer=农民
factor=因素 expense=支出 estimated=预计 environment=环境 entrepreneur=企业家 employment=雇佣记录 emergency=紧急
electoral=选民 effort=投入 distributor=发行商 display=显示 discipline=学科 dinner=晚餐 detail=详情 design=设计
dependent=家属 density=密度 delegate=代表 decor=装饰 death=死亡 damage=损失 crime=犯罪 crew=机组 construction=建设
complaint=投诉 competitor=选手 community=社区 communication=沟通 commission=佣金 comission=佣金 climber=登山者
climb=攀登 citizenship=国籍 circulation=发行量 chief=主管 championship=锦标赛 certificate=证书 ceremony=仪式
captain=船长 capital=资本 campaign=活动 call=通话 calendar=日历 business=业务 burger=汉堡 bus=公交车 box=票房
body=身体 board=董事会 birthplace=出生地 bid=出价 benefit=福利 background=背景 arrear=欠款 approval=批准 annual=年度
agreement=协议 agency=机构 administrator=管理员 added=添加 acceptance=录用 access=访问 accident=事故 ability=能力
abbreviation=缩写 acting=代理 activity=活动 additional=附加 affected=受影响 basketball=篮球 battle=战役 billion=十亿
bonus=奖金 budgeted=预算 camp=营地 cargo=货物 cash=现金 cell=手机 century=世纪 certification=认证 chair=主席
chairman=主席 champion=冠军 chapter=章节 chassis=底盘 check=支票 checking=支票账户 choice=选择 classification=分类
close=收盘 collection=收藏 comments=评论 compatible=兼容 component=组件 condition=状况 contestant=参赛者 cooking=烹饪
cover=封面 creation=创建 crop=作物 culture=文化 current=当前 cylinders=气缸数 debit=借记 decision=决定 default=默认
delay=延误 demand=需求 deposit=存款 diameter=直径 dish=菜品 donation=捐款 donor=捐赠者 drink=饮品 drama=戏剧 due=到期
duty=职责 earnings=收益 economy=经济 edition=版本 education=教育 electric=电动 elimination=淘汰 entrance=入口
equipment=设备 estimation=估计 exchange=交换 exit=退出 expiry=到期 expiration=到期 favorite=最喜欢的 field=领域
fight=比赛 fleet=机队 foot=脚 forecast=预测 foreign=外国 foundation=基金会 freight=运费 frequency=频率 fuel=燃料
functional=职能 fund=基金 gallery=画廊 gas=加油 general=综合 goal=进球 governor=州长 graduate=研究生 graduation=毕业
guide=指南 hall=大厅 hand=手 happy=欢乐 health=健康 hero=英雄 homework=作业 horse=马 household=住户 humidity=湿度
identity=身份 inspection=检查 inspector=检查员 instance=实例 intake=招生 intern=实习生 international=国际
interview=面试 island=岛屿 issue=问题 jersey=球衣 keyword=关键词 kitchen=厨房 lab=实验室 land=土地 landmark=地标
lane=泳道 leave=离开 lecture=讲座 lecturer=讲师 legal=法律 letter=信件 license=许可证 life=寿命 light=灯光 limit=限额
link=链接 list=列表 literacy=识字 lead=领先 local=本地 lunch=午餐 magazine=杂志 mail=邮件 mailing=邮寄 management=管理
manuscript=手稿 map=地图 margin=利润率 marriage=婚姻 material=材料 meal=餐食 mechanical=机械 medal=奖牌 medical=医疗
menu=菜单 merchant=商户 message=消息 metal=金属 military=军事 money=金额 mortgage=抵押贷款 motor=电机 movement=运动
music=音乐 native=本地 neighborhood=社区 net=净 newspaper=报纸 night=晚数 occupation=职业 offer=报价 officer=官员
organizer=组织者 outlet=门店 output=产量 overpayment=多付款 overtime=加班 packet=数据包 parking=停车 passage=段落
passenger=乘客 pay=薪酬 penalty=罚金 period=时期 permission=权限 photograph=照片 plan=计划 plant=工厂 plate=车牌
poem=诗 point=分数 pool=泳池 port=港口 portfolio=投资组合 poverty=贫困 premium=保费 premise=场所 prescription=处方
press=媒体 prize=奖金 probability=概率 processor=处理器 producer=制片人 profile=资料 promotion=促销 proposal=提案
prospect=潜在客户 prosecutor=检察官 provider=提供商 purpose=目的 quarter=季度 quota=配额 racing=赛车 radio=电台
rail=铁路 rain=降雨 reader=读者 receiver=接收人 recipe=菜谱 recipient=收件人 red=红色 referee=裁判 relation=关系
remark=备注 rent=租金 repayment=还款 request=请求 reserve=储备 residential=住宅 retail=零售 retirement=退休
reward=奖励 risk=风险 rule=规则 runner=跑者 salesperson=销售员 sample=样本 scale=规模 scene=场景 science=科学
script=脚本 sea=海 search=搜索 secondary=次要 segment=细分 seller=卖家 buyer=买家 sender=发件人 senior=高级
sentence=判决 session=会话 settings=设置 shape=形状 shareholder=股东 shift=班次 shooting=投篮 sign=签署 signature=签名
sister=姐妹 brother=兄弟 mother=母亲 father=父亲 site=地点 social=社会 spa=水疗 speaker=演讲者 species=物种
spouse=配偶 standard=标准 statistics=统计 storage=存储 strategy=策略 strike=罢工 style=风格 subtitle=副标题 suite=套房
supervisor=主管 surgery=手术 survey=调查 symbol=代号 symptom=症状 table=表 tag=标签 tank=油箱 taxi=出租车
technology=技术 tenant=租客 term=学期 terminal=航站楼 terrain=地形 territory=领土 theater=剧院 theatre=剧院
thesis=论文 tip=小费 tool=工具 topic=话题 tour=巡演 tourism=旅游 tournament=锦标赛 tower=塔 toy=玩具 trainer=教练
training=培训 translation=翻译 translator=译者 transport=运输 travel=旅行 traveler=旅行者 tree=树 trend=趋势
trophy=奖杯 trust=信任 tuition=学费 turnover=营业额 tweet=推文 unemployment=失业 upload=上传 usage=用量 vacation=假期
vaccine=疫苗 valid=有效 vendor=供应商 victim=受害者 views=观看次数 village=村庄 voter=选民 voting=投票 wagon=车厢
ward=病房 warehouse=仓库 warranty=保修 watch=手表 water=水 wave=波 wealth=财富 weapon=武器 weekday=工作日 weekend=周末
wife=妻子 husband=丈夫 winter=冬季 summer=夏季 spring=春季 autumn=秋季 witness=证人 worker=工人 world=世界 zone=区域
joining=加入 seen=观察 nominee=被提名者 attendee=与会者 applicant=申请人 bytes=字节数
"""
WORDS = dict(pair.split("=") for pair in _WORDS.split())

CHINESE_PHRASES = {
    ("first", "name"): "名字",
    ("last", "update"): "最后更新时间",
    ("replacement", "cost"): "重置成本",
    ("rental", "rate"): "租金",
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
    ("job", "title"): "职位名称",
    ("job", "history"): "任职记录",
    ("time", "slot"): "时间段",
    ("start", "hour"): "开始小时",
    ("end", "hour"): "结束小时",
    ("start", "minute"): "开始分钟",
    ("end", "minute"): "结束分钟",
    ("start", "date"): "开始日期",
    ("end", "date"): "结束日期",
    ("credit", "card"): "信用卡",
    ("block", "code"): "区块代码",
    ("social", "security", "number"): "社会保障号",
    ("office", "hours"): "办公时间",
    ("box", "office"): "票房",
    ("cell", "phone"): "手机",
    ("cell", "number"): "手机号码",
    ("cell", "mobile", "phone", "number"): "手机号码",
    ("email", "address"): "邮箱地址",
    ("street", "address"): "街道地址",
    ("state", "province"): "州省",
    ("state", "or", "province"): "州或省",
    ("state", "province", "county"): "州省县",
    ("line", "1"): "第一行",
    ("line", "2"): "第二行",
    ("order", "line"): "订单行",
    ("invoice", "line"): "发票明细",
    ("invoice", "item"): "发票明细",
    ("number", "of", "matches"): "比赛场数",
    ("number", "of", "hosts"): "主办方数量",
    ("number", "of", "deaths"): "死亡人数",
    ("home", "games"): "主场比赛数",
    ("away", "games"): "客场比赛数",
    ("horse", "power"): "马力",
    ("real", "name"): "真名",
    ("stage", "name"): "艺名",
    ("user", "name"): "用户名",
    ("file", "name"): "文件名",
    ("file", "size"): "文件大小",
    ("file", "format"): "文件格式",
    ("net", "worth"): "净资产",
    ("sea", "level"): "海平面",
    ("high", "school"): "高中",
    ("web", "site"): "网站",
    ("home", "page"): "主页",
    ("pit", "stop"): "进站记录",
    ("lap", "time"): "圈速记录",
    ("parking", "fine"): "停车罚款",
    ("financial", "transaction"): "财务交易",
    ("marketing", "region"): "营销区域",
    ("opening", "hours"): "营业时间",
    ("opening", "year"): "开业年份",
    ("founding", "year"): "成立年份",
    ("founding", "date"): "成立日期",
    ("construction", "year"): "建造年份",
    ("opening", "date"): "开业日期",
    ("birth", "city"): "出生城市",
    ("birth", "state"): "出生州",
    ("birth", "country"): "出生国家",
    ("birth", "name"): "本名",
    ("death", "date"): "去世日期",
    ("death", "year"): "去世年份",
    ("air", "date"): "播出日期",
    ("letter", "grade"): "成绩",
    ("final", "score"): "最终得分",
    ("total", "score"): "总分",
    ("average", "score"): "平均分",
    ("gross", "sales"): "总销售额",
    ("net", "sales"): "净销售额",
    ("postal", "address"): "邮寄地址",
    ("mailing", "address"): "邮寄地址",
    ("account", "balance"): "账户余额",
    ("account", "number"): "账号",
    ("serial", "number"): "序列号",
    ("license", "plate"): "车牌号",
    ("model", "year"): "车型年份",
    ("expiry", "date"): "到期日期",
    ("due", "date"): "到期日期",
    ("hire", "date"): "入职日期",
    ("order", "date"): "下单日期",
    ("order", "number"): "订单号",
    ("invoice", "number"): "发票号",
    ("room", "number"): "房间号",
    ("flight", "number"): "航班号",
    ("student", "number"): "学号",
    ("employee", "number"): "工号",
    ("page", "count"): "页数",
    ("head", "count"): "人数",
    ("test", "result"): "考试成绩",
    ("exam", "score"): "考试分数",
    ("course", "name"): "课程名称",
    ("part", "time"): "兼职",
    ("full", "time"): "全职",
    ("on", "call"): "值班",
    ("other", "details"): "其他详情",
    ("active", "status"): "启用状态",
    ("available", "status"): "可用状态",
    ("deleted", "status"): "删除状态",
    ("paid", "status"): "付款状态",
    ("open", "status"): "开放状态",
    ("closed", "status"): "关闭状态",
    ("valid", "status"): "有效状态",
    ("public", "status"): "公开状态",
    ("enabled", "status"): "启用状态",
    ("visible", "status"): "可见状态",
    ("unavailable", "status"): "停用状态",
    ("body", "builder"): "健美运动员",
    ("market", "share"): "市场份额",
    ("theme", "park"): "主题公园",
    ("street", "market"): "街头市集",
    ("tourist", "attraction"): "旅游景点",
    ("video", "game"): "电子游戏",
    ("music", "festival"): "音乐节",
    ("royal", "family"): "王室",
    ("roller", "coaster"): "过山车",
    ("gas", "station"): "加油站",
    ("train", "station"): "火车站",
    ("school", "bus"): "校车",
    ("media", "type"): "媒体类型",
    ("playlist", "track"): "播放列表曲目",
    ("chip", "model"): "芯片型号",
    ("screen", "mode"): "屏幕模式",
    ("camera", "lens"): "镜头",
    ("phone", "market"): "手机市场",
    ("department", "store"): "百货商店",
}

_ALSO = {"age": "岁", "name": "姓名"}
"""What is said beside the first Chinese of a word: 12岁."""
_SHORTEST = 2
"""Characters; one alone stands in many words that mean something else."""


def spoken_in_chinese(words: Sequence[str]) -> Iterator[str]:
    """Yield what a Chinese question calls a name by, given its English words: class, grade → 班级, 年级."""
    for place, word in enumerate(words):
        if word in _ALSO:
            yield _ALSO[word]
        for known in (WORDS.get(word), *(CHINESE_PHRASES.get(tuple(words[place : place + n])) for n in (2, 3, 4))):
            if known is not None and len(known) >= _SHORTEST:
                yield known
