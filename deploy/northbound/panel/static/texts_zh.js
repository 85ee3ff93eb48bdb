// SPDX-License-Identifier: Apache-2.0
"use strict";
// Texts of the panel in simplified Chinese. A test compares the keys with those of texts_en.js.
Texts.add("zh-CN", {
  panel: "操作面板", language: "语言", views: "视图", overview: "总览", alarms: "报警", trends: "趋势", control: "控制", unit: "设备", diagram: "管道仪表流程图",
  "sign in": "登录", "sign out": "退出 {user}", user: "用户", password: "密码", cancel: "取消", keyboard: "键盘", close: "关闭", confirm: "确认", "confirm title": "确认操作", "seconds left": "请在 {n} 秒内确认",
  "new password": "设置新密码", "wrong login": "用户名或密码错误。", locked: "尝试次数过多，请在 {n} 秒后重试。", shift: "大写", signs: "字母或符号", space: "空格", delete: "删除", "next field": "下一项",
  window: "时间窗", "1 h": "1 小时", "6 h": "6 小时", "24 h": "24 小时", newest: "最新", earlier: "更早", later: "更晚", "zoom in": "放大", "zoom out": "缩小", "no trend": "最近 24 小时没有数据。", Elapsed: "已用时间",
  yes: "是", no: "否", unknown: "未知", "unknown time": "未知时间", age: "{age}前的数据", "n s": "{n} 秒", "n min": "{n} 分钟", "n h": "{n} 小时", "n d": "{n} 天", "time unknown": "UTC 未知",
  "no connection": "与面板服务器的连接中断，数值未知。", "no data": "控制器已有 {age} 没有数据，数值未知。",
  "read only": "本面板仅供显示，未配置写入权限。", refused: "被拒绝：{reason}", "refused.session": "请先登录。", "refused.role": "您的角色无此权限。", "refused.password": "请先设置新密码。", "refused.changed": "查看之后数值或报警已改变：未执行任何操作。请重新查看后再操作。", "refused.expired": "确认超时，请重新操作。",
  "state.unknown": "未知", "state.normal": "正常", "state.degraded": "降级", "state.safe": "安全状态", "state.stopped": "停机",
  "quality.good": "良好", "quality.uncertain": "可疑", "quality.bad": "坏值", "quality.absent": "无数据",
  "no alarms": "无报警", "alarms unknown": "报警状态未知", "n alarms": "{n} 条报警", "more alarms": "另有 {n} 条", "new alarm": "新报警，优先级 {n}：{text}", "alarm gone": "该报警已结束。",
  "alarmstate.active_unacknowledged": "激活，未确认", "alarmstate.active_acknowledged": "激活，已确认", "alarmstate.cleared_unacknowledged": "已恢复，未确认", "alarmstate.shelved": "已搁置",
  "priority.1": "优先级 1：立即处理", "priority.2": "优先级 2：30 分钟内处理", "priority.3": "优先级 3：当天处理", "priority.4": "优先级 4：每周维护时处理",
  "what to do": "处理方法", respond: "响应时间", within: "请在 {time} 内处理", message: "控制器信息", means: "含义", consequence: "不处理的后果", cause: "可能原因", times: "时间", number: "编号 {n}", raised: "发生于 {time}（{ago}前）", cleared: "恢复于 {time}", "shelved for": "还将搁置 {time}",
  acknowledge: "确认报警", reset: "复位", shelve: "搁置", unshelve: "取消搁置", "shelve for": "搁置此报警…", time: "时长", reason: "原因", "reason.work": "设备检修中", "reason.known": "已知，计划维修", "reason.nuisance": "滋扰报警",
  "pid.set": "设定", "pid.level": "液位", "pid.dew": "露点裕度",
  "plot.temperatures": "温度", "plot.pressure": "压差", "plot.flows": "流量", "plot.outputs": "阀门与水泵", "plot.power": "功率",
  "who controls": "控制权", "who controls.hint": "级别最高的请求控制执行器。人工操作的级别低于联锁。", actuator: "执行器", holder: "控制者", rank: "级别", output: "输出",
  "actuator.valve": "阀门", "actuator.pumps": "水泵", "actuator.fans": "风机", valve: "阀门", pumps: "水泵",
  "holder.loop": "控制回路", "holder.supply_loop": "供水温度回路", "holder.pressure_loop": "压差回路", "holder.manual": "操作员", "holder.interlock": "联锁", "holder.protection": "保护",
  "rank.loop": "控制回路", "rank.proof": "验证测试", "rank.protection": "保护", "rank.manual": "手动", "rank.interlock": "联锁", "rank.lockout": "就地模式", "rank.other": "级别 {n}",
  "operating mode": "运行模式", "mode now": "当前：", mode: "模式", "ends after": "持续时间", "start mode": "启动…", release: "恢复自动", "mode.auto": "自动", "mode.hand": "手动", "mode.off": "关闭", "mode.fill": "充液", "mode.vent": "排气", "mode.drain": "排液",
  "mode.hand.hint": "阀门和水泵保持以下输出，联锁优先。", "mode.off.hint": "先切断负载，再关阀、停泵。无冷却。", "mode.fill.hint": "阀门关闭，水泵 30 %。", "mode.vent.hint": "阀门关闭，水泵在 60 % 与 20 % 之间交替。", "mode.drain.hint": "阀门打开，水泵停止。先切断负载。",
  "confirm.mode.hand": "手动控制 {minutes} 分钟：阀门 {valve} %，水泵 {pump} %，之后恢复自动。", "confirm.mode.other": "{mode}模式 {minutes} 分钟，之后恢复自动。",
  "set-points": "设定值", change: "更改…", "from to": "{low} 至 {high} {unit}", step: "每次最多更改 {step} {unit}", "not writable": "未授权面板更改", "confirm.setpoint": "{what}：由 {from} 改为 {value} {unit}。更改先试运行。", less: "减少：{what}", more: "增加：{what}", "a number from": "请输入 {low} 至 {high} {unit} 之间的数值",
  "change on trial": "试运行中的更改", "change on trial.hint": "机组正在试用新值。您可以撤回自己的更改；管理员可以撤回现场的任何更改。", "trial.value": "{what}：{value} {unit}", "trial.unknown": "本服务器未知的设定值", "trial.user": "更改人：{user}（{protocol}）", "trial.server": "由 {protocol} 服务器的客户端更改", "trial.operators": "由操作员通过签名更改", "roll back": "回退",
  tests: "测试", "start test": "开始…", "last proofs": "最近的验证测试", "proof.valve": "阀门验证测试", "proof.valve.hint": "小幅动作，阀位和流量须随之变化。", "proof.pumps": "水泵验证测试", "proof.pumps.hint": "备用泵接管，须达到其流量。", rotate: "切换主泵", "rotate.hint": "另一台水泵成为主泵。",
  "confirm.proof.valve": "开始阀门验证测试？", "confirm.proof.pumps": "开始水泵验证测试？", "confirm.rotate": "切换主泵？",
  "my actions": "本面板的操作", "no actions": "打开页面后没有操作", "result.unknown": "未知：结束前已退出登录", "result.pending": "已发送", "result.trial": "试运行中", "result.confirmed": "完成", "result.refused": "被拒绝", "result.rolled_back": "已回退",
  "name plate": "铭牌", "identity.site": "站点", "identity.unit": "设备", "identity.manufacturer": "制造商", "identity.model": "型号", "identity.part_number": "部件号", "identity.serial_number": "序列号", "identity.production_date": "生产日期", "identity.location": "位置", "identity.asset_tag": "资产标签", qr: "序列号 {serial} 的二维码",
  versions: "版本", software: "软件", configuration: "配置", "change n": "更改 {n}", hash: "哈希", clock: "时钟", utc: "UTC", bound: "误差界限", link: "链路与流量预算", "all values": "全部数值", point: "测点", value: "数值", quality: "质量", "age of value": "时延",
  "field.state": "状态", "field.source": "来源", "field.flags": "标志", "field.connected": "已连接", "field.published": "已发布", "field.acknowledged": "已确认", "field.queued": "排队", "field.dropped": "丢弃", "field.model": "型号", "field.lost": "失联", "field.identity": "标识", "field.name": "名称", "field.mode": "模式", "field.lead": "主泵", "field.setpoint": "设定值", "field.floor": "最低设定值", "field.dew": "露点", "field.carrier": "承载", "field.budget_bytes": "预算，字节", "field.used_bytes": "已用，字节", "field.reason": "原因", "field.hash": "哈希", "field.last": "最近更改", "field.trial": "试运行", "field.output": "输出", "field.rotations": "切换次数", "field.kept": "验证测试", "field.node": "控制器", "field.role": "角色", "field.takeovers": "接管次数", "field.epoch": "任期号", "field.rejected": "拒收的信标", "field.peer": "对侧角色", "field.active_s": "任主控时间，秒", "field.fit": "可担任主控", "field.peer_fit": "对侧可担任主控", "field.in_sync": "已同步",
  "state.listen": "监听", "state.standby": "备用", "state.probe": "探测设备", "state.read": "读取设备", "state.active": "主控", "state.offer": "移交角色", "state.quiet": "静默", "state.out": "退出", "state.silence": "对侧静默", "state.swap": "计划切换", "state.command": "命令", "state.health": "健康状态", "state.time": "时间", "state.start": "启动", "state.load": "热负荷", "state.rotation": "主导轮换", "state.failure": "设备故障", "state.agreement": "采用主导设备的选择",
  "part.devices": "总线设备", "part.remote": "远程配置", "part.safety": "安全", "part.cooling": "冷却控制", "part.commands": "授权命令", "part.pair": "冗余对", "part.group": "设备组", "group.lead": "主导设备", "group.selected": "选定运行的设备", "group.received": "可收到消息的其他设备",
});
// Titles of the points; English takes those of the point table, so its catalogue has only their keys.
(() => {
  const points = {
    supply_temperature: "二次侧供水温度", return_temperature: "二次侧回水温度", differential_pressure: "二次侧压差", supply_pressure: "二次侧供水压力", return_pressure: "二次侧回水压力", secondary_flow: "二次侧流量", heat: "散热量",
    dew_point: "室内露点", dew_margin: "露点裕度", air_temperature: "空气温度", air_humidity: "空气相对湿度", valve_position: "一次侧阀位（实测）", valve_command: "一次侧阀位（指令）", facility_supply_temperature: "一次侧供水温度", facility_return_temperature: "一次侧回水温度",
    facility_supply_pressure: "一次侧供水压力", facility_return_pressure: "一次侧回水压力", facility_flow: "一次侧流量", "pump{n}_speed": "{n} 号泵转速（实测）", "pump{n}_command": "{n} 号泵转速（指令）", "pump{n}_running": "{n} 号泵运行", "pump{n}_hours": "{n} 号泵运行小时",
    "fan{n}_speed": "{n} 号风机转速", reservoir_level: "储液箱液位", filter_pressure: "过滤器压差", filter_hours: "过滤器运行小时", "leak{n}": "{n} 号漏液检测", power: "设备电功率", energy: "设备电能", it_power: "负载电功率", headroom: "剩余散热能力", load_limit: "负载功率限值",
    supply_setpoint: "供水温度设定值", pressure_setpoint: "压差设定值", unit_state: "设备状态", alarm_count: "激活的报警数", clock_bound: "时钟误差界限", uptime: "控制程序运行时间",
    pair_role: "冗余对中本控制器的角色", pair_peer_role: "对侧控制器的角色", pair_takeover_reason: "最近一次接管的原因", pair_fit: "本控制器可担任主控", pair_standby_ready: "备用控制器可接管", pair_in_sync: "备用控制器状态已同步", pair_takeovers: "接管次数", pair_active_time: "距最近一次接管的时间",
    group_runs: "本设备被选定运行", group_is_lead: "本设备为主导设备", group_lead: "主导设备编号（0：无）", group_number: "本设备在组内的编号", group_units: "组内设备数（含本设备）", group_selected: "选定运行的设备数", group_received: "本设备可收到消息的其他设备数", group_whole: "组内设备互相可收到消息", group_reason: "选定设备最近一次变更的原因", group_changes: "选定设备的变更次数（不计故障）", group_load: "可收到消息的设备的总热量",
  };
  for (const [key, text] of Object.entries(points)) { Texts.add("zh-CN", { ["point." + key]: text }); Texts.add("en", { ["point." + key]: "" }); }
})();
