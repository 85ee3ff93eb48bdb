# SPDX-License-Identifier: Apache-2.0
"""Towns inside and outside of each region: near borders, on islands, in enclosed states."""

from drivers.modems import REGIONS, load_rule
from drivers.modems.regions.rule import is_inside

# Name, latitude and longitude in 1/100 degree.
INSIDE = {
    "uae": """
        Dubai 2520 5527, Abu-Dhabi 2445 5438, Al-Ain 2420 5575, Fujairah 2512 5634,
        Ras-Al-Khaimah 2579 5595, Al-Sila 2412 5180, Ruwais 2411 5273, Liwa 2313 5378,
        Khor-Fakkan 2534 5635, Kalba 2505 5635, Das-Island 2515 5287, Al-Dhannah 2412 5260,
        Barakah 2397 5226, Madinat-Zayed 2365 5370, Hatta 2480 5612, Masafi 2530 5616,
        Sha'am-RAK 2603 5608
    """,
    "saudi_arabia": """
        Riyadh 2470 4670, Jeddah 2150 3917, Yanbu 2409 3806, Tabuk 2838 3657, NEOM 2800 3520,
        Jizan 1689 4255, Najran 1750 4413, Sharurah 1747 4710, Dammam 2643 5010,
        Jubail 2700 4966, Khafji 2843 4850, Arar 3097 4102, Turaif 3168 3865, Qurayyat 3133 3734,
        Hofuf 2538 4958, Salwa 2473 5075, Batha 2415 5140, Haql 2929 3494, Abha 1820 4250,
        Shaybah 2251 5395, Rafha 2960 4350, Hafar 2840 4600, Farasan 1670 4210, Khobar 2628 5021
    """,
    "qatar": """
        Doha 2528 5153, Al-Khor 2568 5150, Ras-Laffan 2591 5155, Dukhan 2542 5078,
        Mesaieed 2499 5155, Ruwais-QA 2614 5120, Abu-Samra 2475 5085, Al-Wakrah 2517 5160
    """,
    "oman": """
        Muscat 2359 5840, Salalah 1702 5409, Sohar 2435 5670, Duqm 1967 5770, Sur 2257 5953,
        Khasab 2618 5625, Buraimi 2425 5579, Nizwa 2293 5753, Thumrait 1760 5403,
        Dhalkut 1670 5325, Masirah 2040 5880, Ras-al-Hadd 2253 5980, Ibri 2322 5650,
        Madha 2528 5633
    """,
    "south_africa": """
        Johannesburg -2620 2805, Cape-Town -3392 1842, Durban -2986 3103, Musina -2234 3004,
        Upington -2840 2126, Springbok -2966 1789, Alexander-Bay -2860 1648,
        Port-Elizabeth -3396 2560, Richards-Bay -2878 3204, Kosi-Bay -2690 3287,
        Nelspruit -2547 3097, Agulhas -3483 2000, Mafikeng -2585 2564, Twee-Rivieren -2645 2060,
        Komatipoort -2543 3195, Ficksburg -2887 2788, East-London -3300 2790
    """,
    "kenya": """
        Nairobi -129 3682, Mombasa -404 3966, Kisumu -10 3475, Mandera 394 4186, Lodwar 312 3560,
        Moyale 352 3905, Lamu -227 4090, Garissa -45 3964, Busia 46 3410, Naivasha -72 3643,
        Lokichoggio 420 3435, Namanga -254 3679, Kwale -417 3945, Lunga-Lunga -455 3912,
        Malaba 63 3427
    """,
    "nigeria": """
        Lagos 645 340, Abuja 906 749, Kano 1200 852, Maiduguri 1185 1316, Sokoto 1306 524,
        Port-Harcourt 482 705, Calabar 495 832, Yola 920 1248, Badagry 642 288, Katsina 1299 760,
        Bonny 443 717, Lekki 645 360, Baga 1310 1380, Birnin-Kebbi 1245 420, Mubi 1027 1327,
        Kamba 1185 365
    """,
    "china": """
        Beijing 3990 11640, Shanghai 3120 12150, Shenzhen 2254 11406, Sanya 1825 10950,
        Urumqi 4380 8760, Kashgar 3947 7599, Lhasa 2965 9110, Harbin 4580 12650, Mohe 5297 12252,
        Kunming 2504 10270, Ulanqab 4100 11310, Guian 2640 10650, Zhangjiakou 4080 11490,
        Dalian 3890 12160, Xiamen 2448 11810, Jiamusi 4680 13030, Fuyuan 4836 13430,
        Yining 4390 8130, Altay 4785 8810, Manzhouli 4960 11740, Qingdao 3607 12040,
        Haikou 2004 11030, Jinghong 2200 10080, Zhongwei 3750 10520, Dandong 4012 12438,
        Rongcheng 3717 12240, Zhoushan 3000 12220, Tumen 4297 12984, Beihai 2148 10910,
        Ejina 4195 10107, Shigatse 2927 8888, Zhuhai 2228 11357, Heihe 5024 12749
    """,
}
OUTSIDE = """
    Kuwait 2937 4798, Manama 2623 5058, Amman 3195 3593, Aqaba 2953 3500, Eilat 2956 3495,
    Sanaa 1535 4420, Sadah-YE 1694 4376, Baghdad 3330 4440, Basra 3050 4780,
    Bandar-Abbas 2718 5627, Sharm 2790 3430, Maseru -2931 2748, Mbabane -2632 3113,
    Manzini -2649 3137, Gaborone -2465 2591, Maputo -2597 3258, Windhoek -2256 1708,
    Harare -1780 3105, Bulawayo -2015 2858, Oranjemund -2855 1643, Thaba-Tseka -2952 2860,
    Mokhotlong -2929 2907, Kampala 35 3260, Entebbe 5 3246, Jinja 43 3320, Arusha -337 3668,
    Moshi -335 3734, Tanga -507 3910, Mogadishu 204 4534, Kismayo -36 4255, Addis 900 3875,
    Juba 485 3160, Cotonou 637 243, Porto-Novo 650 260, Niamey 1350 210, Zinder 1380 899,
    Maradi 1350 710, NDjamena 1213 1505, Garoua 930 1340, Douala 405 970, Malabo 375 878,
    Buea 415 924, Hong-Kong 2230 11417, Macau 2220 11355, Taipei 2503 12156,
    Kaohsiung 2263 12030, Hanoi 2103 10585, Haiphong 2086 10668, Ulaanbaatar 4790 10690,
    Vladivostok 4312 13190, Khabarovsk 4848 13508, Blagoveshchensk 5027 12753,
    Almaty 4325 7695, Bishkek 4287 7459, Kathmandu 2770 8530, Thimphu 2747 8964,
    Guwahati 2614 9174, Itanagar 2710 9360, Leh 3415 7758, Pyongyang 3903 12575,
    Sinuiju 4010 12440, Seoul 3757 12698, Mandalay 2197 9608, Myitkyina 2538 9740,
    Vientiane 1797 10260, Chita 5203 11350, Tokyo 3570 13970, Maputsoe -2889 2789,
    Qachas-Nek -3012 2868, Lavumisa -2732 3189, Busia-UG 46 3409, Sirari -126 3447,
    Namanga-TZ -256 3678, Malaba-UG 64 3426, Uiju 4019 12453
"""
"""In none of them."""


def towns(text):
    for entry in text.split(","):
        name, lat, lon = entry.split()
        # the middle of the cell of 1/100 degree
        yield name, int(lat) * 100_000 + 50_000, int(lon) * 100_000 + 50_000


def regions_at(polygons, lat_e7, lon_e7):
    return [region for region in polygons if is_inside(polygons[region], lat_e7, lon_e7)]


def test_each_town_is_in_its_region_only():
    polygons = {region: load_rule(region, "sbd")[1] for region in REGIONS if region != "bench"}
    wrong = []
    for owner, text in INSIDE.items():
        for name, lat_e7, lon_e7 in towns(text):
            found = regions_at(polygons, lat_e7, lon_e7)
            if found != [owner]:
                wrong.append((name, found))
    for name, lat_e7, lon_e7 in towns(OUTSIDE):
        if regions_at(polygons, lat_e7, lon_e7):
            wrong.append((name, regions_at(polygons, lat_e7, lon_e7)))
    assert not wrong, wrong
