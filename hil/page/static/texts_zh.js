// SPDX-License-Identifier: Apache-2.0
"use strict";
// Texts of the bench's page in simplified Chinese. The key is the English text. Texts of scenarios,
// faults and alarms come from the bench and stay as they are.
Texts.add("zh-CN", {
  "Language": "语言", "set-point": "设定值", "uncertain": "不确定", "bad": "无效", "absent": "无数据", "Run": "运行", "Limits": "限值", "Alarms": "报警", "Actuators": "执行器", "Loop": "回路", "Faults": "故障", "Devices": "设备", "Satellites": "卫星", "History": "历史",
  "Prompt": "提问", "Serial number": "序列号", "Tested by": "测试人", "Scenario or suite": "场景或套件", "Window": "时间窗", "Start": "开始", "Repeat": "重复", "Abort": "中止", "Follow": "跟随",
  "Pause": "暂停", "Mark": "标记", "Elapsed": "已用时间", "UTC": "UTC", "clock": "时钟", "controller": "控制器", "alarms": "报警", "1 min": "1 分钟", "5 min": "5 分钟", "15 min": "15 分钟",
  "all": "全部", "scan or type; can be empty": "扫描或输入；可为空", "find a fault": "查找故障", "a run shows its limits here": "运行时在此显示限值",
  "port of a real device, such as serial:/dev/ttyUSB0": "真实设备的端口，例如 serial:/dev/ttyUSB0",
  "Solid: as read by the controller. Dashed: set by the controller. Dotted: true, in the emulated plant only. Red: limits. Drag to zoom, double-click to follow.": "实线：控制器读数。虚线：控制器设定。点线：真值，仅在仿真装置中。红色：限值。拖动放大，双击跟随。",
  "satellites over the site": "站点上空的卫星", "C/N0 of the satellites": "卫星的载噪比 C/N0", "earlier": "更早", "later": "更晚", "zoom in": "放大", "zoom out": "缩小",
  "window of the curves": "曲线时间窗", "cooling loop": "冷却回路", "free": "空闲", "running": "运行中", "no connection": "连接中断", "PASS": "通过", "PASS, MARGINAL": "通过，临界", "MARGINAL": "临界",
  "NOT COMPLETE": "未完成", "FAIL": "不通过", "Check next: ": "下一步检查：", "report": "报告", "Yes": "是", "No": "否", "Store": "保存", "On": "开", "Off": "关", "Do": "执行", "Emulate": "仿真",
  "Swap in": "接入", "emulated": "仿真", "no records": "没有记录", "Overlay": "叠加", "NOT VALID": "无效", "at most 5 runs can be overlaid": "最多叠加 5 次运行", "Overlaid from the start of the run: ": "从运行开始叠加：", "type the port of the real device": "请输入真实设备的端口", "suites": "套件", "scenarios": "场景", "supply": "供水", "return": "回水",
  "heat": "热量", "differential pressure": "压差", "flow": "流量", "valve": "阀门", "pumps": "水泵", "power": "功率", "time": "时间", "link": "链路",
});
